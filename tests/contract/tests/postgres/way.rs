//! A way to the server that can be cut, or fall silent as when a host vanishes.

use futures_util::FutureExt;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fixture::PostgresFixture;

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// Those that are open stay so, and nothing comes through any more; new ones are as good as ever.
    Silent,
    /// All are closed, and new ones are refused.
    Cut,
}

/// The way of a test to the server.
pub(crate) struct Way {
    pub(crate) url: String,
    fate: watch::Sender<(u32, Fate)>,
}

impl Way {
    pub(crate) async fn to(fixture: &PostgresFixture) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = fixture.url_by(listener.local_addr().unwrap().port());
        let (fate, told) = watch::channel((0, Fate::Open));
        tokio::spawn(accept(listener, fixture.address(), told));
        Way { url, fate }
    }

    fn decide(&self, fate: Fate) {
        self.fate.send_modify(|last| *last = (last.0 + 1, fate));
    }

    pub(crate) fn silence(&self) {
        self.decide(Fate::Silent);
    }

    pub(crate) fn cut(&self) {
        self.decide(Fate::Cut);
    }
}

async fn accept(listener: TcpListener, server: (String, u16), told: watch::Receiver<(u32, Fate)>) {
    let mut end = told.clone();
    let accepting = async {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let mut fate = told.clone();
            let (born, _) = *fate.borrow_and_update();
            let server = TcpStream::connect((server.0.as_str(), server.1)).await.unwrap();
            tokio::spawn(carry(client, server, born, fate));
        }
    };
    tokio::select! {
        () = accepting => {}
        // From then on nobody listens: connections are refused.
        () = end.wait_for(|(_, fate)| *fate == Fate::Cut).map(drop) => {}
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    born: u32,
    mut fate: watch::Receiver<(u32, Fate)>,
) {
    tokio::select! {
        // Whoever ends a connection ends it.
        _ = copy_bidirectional(&mut client, &mut server) => return,
        () = fate.wait_for(|(now, _)| *now != born).map(drop) => {}
    }
    // Held open in silence.
    let _ = fate.wait_for(|(_, fate)| *fate == Fate::Cut).await;
}
