//! What the service does: translates between the wire and the use case, and nothing else.

use std::collections::BTreeMap;

use futures_util::stream::{self, BoxStream, StreamExt};
use hive_grpc_kit::failure::{Failure, Kind};
use tonic::{Request, Response, Status};

use crate::proto::my_service_server::MyService;
use crate::proto::{GetResourceRequest, ListResourcesRequest, Resource};

/// Resources sent when the caller names no number.
const DEFAULT_PAGE: usize = 10;

/// Answers from memory; yours calls a use case.
#[derive(Debug, Clone)]
pub struct Servicer {
    resources: BTreeMap<String, Resource>,
}

impl Servicer {
    /// Knows these resources: id and name.
    pub fn new<'a>(resources: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let resource =
            |(id, name): (&str, &str)| (id.to_owned(), Resource { id: id.to_owned(), name: name.to_owned() });
        Servicer { resources: resources.into_iter().map(resource).collect() }
    }
}

#[tonic::async_trait]
impl MyService for Servicer {
    async fn get_resource(&self, request: Request<GetResourceRequest>) -> Result<Response<Resource>, Status> {
        let id = request.into_inner().id;
        if id.is_empty() {
            return Err(Failure::invalid("id", "must not be empty").into());
        }
        let found = self.resources.get(&id).cloned();
        let missing = || Failure::new(Kind::NotFound, format!("resource {id} not found"));
        Ok(Response::new(found.ok_or_else(missing)?))
    }

    type ListResourcesStream = BoxStream<'static, Result<Resource, Status>>;

    async fn list_resources(
        &self,
        request: Request<ListResourcesRequest>,
    ) -> Result<Response<Self::ListResourcesStream>, Status> {
        let page_size = match request.into_inner().page_size {
            0 => DEFAULT_PAGE,
            size => {
                usize::try_from(size).map_err(|_| Failure::invalid("page_size", "must not be negative"))?
            }
        };
        let page: Vec<_> = self.resources.values().take(page_size).cloned().map(Ok).collect();
        Ok(Response::new(stream::iter(page).boxed()))
    }
}
