//! The network between two programs, which can be cut.
//!
//! Owns one stable address and forwards its connections to a target that may move, as a restarted program does.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a link does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Forwards.
    Up,
    /// Ends the open ones and takes no new ones.
    Cut,
    /// Keeps them and forwards nothing, as a network does that loses every packet.
    Silent,
}

/// See the module. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl Link {
    /// A link to `target`, up.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let target = Arc::new(Mutex::new(target));
        let state = watch::Sender::new(State::Up);
        let task = tokio::spawn(serve(listener, Arc::clone(&target), state.subscribe()));
        Self { address, target, state, task }
    }

    /// The stable address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to another target.
    pub fn retarget(&self, target: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Ends open connections and takes no new ones.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Keeps connections and forwards nothing.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Forwards again.
    pub fn restore(&self) {
        self.state.send_replace(State::Up);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: Arc<Mutex<SocketAddr>>, state: watch::Receiver<State>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
        connections.spawn(forward(near, target, state.clone()));
    }
}

async fn forward(near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    if *state.borrow() == State::Cut {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::select! {
        () = pump(near_read, far_write, state.clone()) => {}
        () = pump(far_read, near_write, state.clone()) => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn pump(
    from: tokio::net::tcp::OwnedReadHalf,
    to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let (Ok(()), Ok(_)) = (from.readable().await, state.wait_for(|state| *state == State::Up).await) else {
            return;
        };
        let read = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        let mut written = 0;
        while written < read {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(&buffer[written..read]) {
                Ok(n) => written += n,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
