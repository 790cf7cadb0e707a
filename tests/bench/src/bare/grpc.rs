//! A bare tonic server: an echo, and a stream to all who follow.

use std::net::SocketAddr;
use std::pin::Pin;

use futures_util::{Stream, stream};
use tokio::sync::broadcast;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use self::v1::Item;
use self::v1::bare_server::{Bare, BareServer};
use crate::error::{Outcome, While as _};
use crate::machine;

/// Its contract, generated.
#[expect(unreachable_pub, reason = "generated")]
#[expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated")]
pub(crate) mod v1 {
    tonic::include_proto!("portcullis.bench.v1");
}

/// Items that a slow follower may be behind before it loses some.
const BEHIND: usize = 64;

struct Service {
    items: broadcast::Sender<Item>,
}

#[tonic::async_trait]
impl Bare for Service {
    type FollowStream = Pin<Box<dyn Stream<Item = Result<Item, Status>> + Send>>;

    async fn echo(&self, request: Request<Item>) -> Result<Response<Item>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn emit(&self, request: Request<Item>) -> Result<Response<Item>, Status> {
        let item = Item { at_us: machine::wall_us(), ..request.into_inner() };
        // Nobody may follow.
        let _ = self.items.send(item.clone());
        Ok(Response::new(item))
    }

    async fn follow(&self, _: Request<Item>) -> Result<Response<Self::FollowStream>, Status> {
        let next = |mut items: broadcast::Receiver<Item>| async move {
            let item = items.recv().await.ok()?;
            Some((Ok(item), items))
        };
        Ok(Response::new(Box::pin(stream::unfold(self.items.subscribe(), next))))
    }
}

/// Serves until it is killed, or nobody holds its standard input any more; says first where it listens.
pub(crate) async fn run() -> Outcome<()> {
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).during("listening")?;
    let address = incoming.local_addr().during("listening")?;
    let service = BareServer::new(Service { items: broadcast::Sender::new(BEHIND) });
    println!("{}", serde_json::to_string(&address).during("saying where it listens")?);
    Server::builder()
        .add_service(service)
        .serve_with_incoming_shutdown(incoming.with_nodelay(Some(true)), super::sockets::nobody_listens())
        .await
        .during("serving")
}
