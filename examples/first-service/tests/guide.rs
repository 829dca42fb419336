//! The guide says what the files say, and the service does what the guide says.

use first_service::caller::name_of;
use first_service::proto::my_service_client::MyServiceClient;
use first_service::proto::my_service_server::MyServiceServer;
use first_service::proto::{DESCRIPTOR, GetResourceRequest, ListResourcesRequest};
use first_service::servicer::Servicer;
use hive_grpc_kit::drain::Shutdown;
use hive_grpc_kit::server::builder::ServerBuilder;
use hive_grpc_kit::server::config::{Config, Environment};
use hive_grpc_kit::servicer;
use hive_grpc_kit::testing::InMemory;
use tonic::Code;

const FIRST_SERVICE: &str = include_str!("../../../docs/guides/first-service.md");
const ADDING_A_LAYER: &str = include_str!("../../../docs/guides/adding-a-layer.md");

/// The blocks of a guide that show a file: its name is what follows the language.
fn shown(guide: &'static str) -> Vec<(&'static str, String)> {
    let mut blocks = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```").and_then(|line| line.split_once(" file=")) else {
            continue;
        };
        let text = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .fold(String::new(), |text, line| text + line + "\n");
        blocks.push((name.1, text));
    }
    blocks
}

#[test]
fn every_block_of_the_first_guide_is_its_file() {
    let blocks = shown(FIRST_SERVICE);
    let mut names: Vec<&str> = blocks.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Cargo.toml",
            "build.rs",
            "proto/myservice/service.proto",
            "src/caller.rs",
            "src/lib.rs",
            "src/main.rs",
            "src/servicer.rs"
        ]
    );
    for (name, shown) in blocks {
        let file = file(name);
        // The manifest inherits from this workspace; the guide shows what matters of it.
        if name == "Cargo.toml" {
            let wanted = |line: &&str| line.contains(" = ") && line.contains('.');
            for line in shown.lines().filter(wanted) {
                let dependency = line.split([' ', '.']).next().expect("a name");
                assert!(file.contains(&format!("\n{dependency}")), "{dependency} is not in {name}");
            }
        } else {
            assert!(shown == file, "the guide shows another {name} than the example has");
        }
    }
}

/// Its blocks are parts of a file, in the file's order, and together the whole of it but for the blank lines between.
#[test]
fn the_blocks_of_the_guide_to_layers_make_up_their_files() {
    let blocks = shown(ADDING_A_LAYER);
    let mut names: Vec<&str> = blocks.iter().map(|(name, _)| *name).collect();
    names.dedup();
    assert_eq!(
        names,
        ["examples/with_layer/per_caller.rs", "examples/with_layer/main.rs", "tests/with_layer.rs"]
    );
    for name in names {
        let parts = blocks.iter().filter(|(of, _)| *of == name).map(|(_, part)| part.as_str());
        let together = parts.collect::<Vec<_>>().join("\n");
        assert!(together == file(name), "the guide shows another {name} than the example has");
    }
}

fn file(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).expect("the guide names a file of the example")
}

#[tokio::test]
async fn the_service_answers_as_the_guide_says() {
    let servicer = Servicer::new([("1", "one"), ("2", "two")]);
    let server = ServerBuilder::new(Config::default(), Environment::Development)
        .register(servicer!(MyServiceServer, servicer), DESCRIPTOR)
        .build()
        .expect("a server");
    let running = InMemory::start(server).await.expect("a connection");
    let mut client = MyServiceClient::new(running.channel.clone());

    let get = |id: &str| GetResourceRequest { id: id.to_owned() };
    assert_eq!(client.get_resource(get("2")).await.expect("a resource").into_inner().name, "two");
    assert_eq!(client.get_resource(get("3")).await.expect_err("missing").code(), Code::NotFound);
    assert_eq!(client.get_resource(get("")).await.expect_err("empty").code(), Code::InvalidArgument);

    let list = |page_size| ListResourcesRequest { page_size };
    let mut all = client.list_resources(list(0)).await.expect("a stream").into_inner();
    let mut ids = Vec::new();
    while let Some(resource) = all.message().await.expect("a resource") {
        ids.push(resource.id);
    }
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(client.list_resources(list(-1)).await.expect_err("negative").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn the_service_is_called_as_the_guide_says() {
    let servicer = Servicer::new([("123", "a resource")]);
    let config = Config::default();
    let server = ServerBuilder::new(config.clone(), Environment::Development)
        .register(servicer!(MyServiceServer, servicer, &config), DESCRIPTOR)
        .build()
        .expect("a server");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let shutdown = Shutdown::new();
    let serving = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { server.serve(listener, &shutdown).await }
    });
    assert_eq!(name_of(&url, "123").await.expect("a name"), "a resource");
    assert!(name_of(&url, "").await.expect_err("no id").to_string().contains("id"));
    assert!(name_of("not a url", "123").await.is_err());
    shutdown.drain();
    assert_eq!(serving.await.expect("no panic").cut_off, 0);
}
