//! The servicer of orchestration.

use futures_util::stream::{BoxStream, StreamExt};
use hive_application::orchestration::Orchestration;
use hive_proto::grpc::neural_hive::orchestration as wire;
use tonic::{Request, Response, Status};
use wire::orchestrator_service_server::OrchestratorService as Contract;

use super::convert;
use crate::caller::{context, service};
use crate::status::to_status;

/// Answers for orchestration.
#[derive(Clone, Debug)]
pub struct OrchestratorService {
    orchestration: Orchestration,
}

impl OrchestratorService {
    /// Answers for `orchestration`, whose supervisor must be running for plans to run.
    pub fn new(orchestration: Orchestration) -> Self {
        OrchestratorService { orchestration }
    }
}

#[tonic::async_trait]
impl Contract for OrchestratorService {
    async fn submit_plan(
        &self,
        request: Request<wire::SubmitPlanRequest>,
    ) -> Result<Response<wire::SubmitPlanResponse>, Status> {
        let context = context(&request);
        let submitted = self.orchestration.submit.execute(&context, &request.get_ref().message).await;
        convert::submission(submitted.map_err(to_status)?).map(Response::new)
    }

    async fn get_workflow(
        &self,
        request: Request<wire::GetWorkflowRequest>,
    ) -> Result<Response<wire::GetWorkflowResponse>, Status> {
        service(&request)?;
        let workflow_id = convert::workflow_id(&request.get_ref().workflow_id).map_err(to_status)?;
        let view = self.orchestration.flows.get(&workflow_id).await.map_err(to_status)?;
        Ok(Response::new(wire::GetWorkflowResponse { workflow: Some(convert::workflow(&view)) }))
    }

    type WatchWorkflowStream = BoxStream<'static, Result<wire::WorkflowEvent, Status>>;

    async fn watch_workflow(
        &self,
        request: Request<wire::WatchWorkflowRequest>,
    ) -> Result<Response<Self::WatchWorkflowStream>, Status> {
        service(&request)?;
        let workflow_id = convert::workflow_id(&request.get_ref().workflow_id).map_err(to_status)?;
        // An unknown flow is the answer to the call, not the first item of a stream.
        self.orchestration.flows.get(&workflow_id).await.map_err(to_status)?;
        let heard = self.orchestration.flows.watch(workflow_id);
        let events = heard.map(|heard| heard.map(|heard| convert::event(&heard)).map_err(to_status));
        Ok(Response::new(events.boxed()))
    }
}
