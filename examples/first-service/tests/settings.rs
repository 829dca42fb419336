//! The service's process honours its settings, and says what is wrong with them before it opens a socket.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The process without any setting but these.
fn service(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_first-service"));
    command.env_clear().envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn refused(variables: &[(&str, &str)]) -> String {
    let Output { status, stderr, .. } = service(variables).output().expect("it starts");
    let told = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(64), "{told}");
    told
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Whether it listens on a port; waits for it.
    fn listens(&mut self, port: u16) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return true;
            }
            if self.0.try_wait().expect("a process").is_some() {
                let mut told = String::new();
                let _ = self.0.stderr.take().expect("piped").read_to_string(&mut told);
                panic!("it ended: {told}");
            }
            std::thread::yield_now();
        }
        false
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn a_port_is_taken_from_a_variable_over_the_file() {
    let (of_file, of_variable) = (free_port(), free_port());
    let path = std::env::temp_dir().join(format!("first-service-{}.toml", std::process::id()));
    std::fs::write(&path, format!("[grpc.server]\nport = {of_file}\nreflection_enabled = false\n"))
        .expect("a file");
    let file = ("GRPC__CONFIG_FILE", path.to_str().expect("UTF-8"));
    let mut by_file = Running(service(&[file]).spawn().expect("it starts"));
    assert!(by_file.listens(of_file));
    let port = of_variable.to_string();
    let mut by_variable =
        Running(service(&[file, ("GRPC__SERVER__PORT", &port)]).spawn().expect("it starts"));
    assert!(by_variable.listens(of_variable));
    drop((by_file, by_variable));
    std::fs::remove_file(&path).expect("removed");
}

#[test]
fn wrong_settings_exit_with_64_and_their_names() {
    let port = free_port();
    let told = refused(&[
        ("GRPC__SERVER__PORT", &port.to_string()),
        ("GRPC__SERVER__MAX_WORKERS", "hunter2"),
        ("GRPC__SERVER__PROT", "hunter2"),
    ]);
    assert!(
        told.contains("GRPC__SERVER__PROT (environment): no such setting; the nearest is GRPC__SERVER__PORT")
    );
    assert!(told.contains("GRPC__SERVER__MAX_WORKERS (environment): must be a whole number from 1 to 100"));
    assert!(!told.contains("hunter2"), "{told}");
    let production = ("ENVIRONMENT", "production");
    let told = refused(&[production, ("GRPC__SERVER__AUTH__JWT_SECRET", "change-me")]);
    assert!(told.contains("GRPC__SERVER__AUTH__JWT_SECRET (environment): is too weak"), "{told}");
    assert!(!told.contains("change-me"), "{told}");
    // What only a server needs is found when it is built.
    let told = refused(&[production]);
    assert!(told.starts_with("GRPC__SERVER__AUTH__JWT_SECRET is needed"), "{told}");
    let told = refused(&[("GRPC__SERVER__TLS__CERT", "/no/such/file")]);
    assert!(told.contains("GRPC__SERVER__TLS__"), "{told}");
    let told = refused(&[("GRPC__SERVER__LIMITS__LOW_PRIORITY_METHODS", "/no.Such/Method")]);
    assert!(told.contains("GRPC__SERVER__LIMITS__LOW_PRIORITY_METHODS"), "{told}");
}
