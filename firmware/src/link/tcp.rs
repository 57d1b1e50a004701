//! Streams to the broker over the one TCP socket of a board whose network card embassy-net drives (feature `embassy-net`).
//!
//! The socket is lent to each stream and comes back when the stream is dropped, so that its buffers exist once.

use crate::board::{ConnectFault, Connector};
use crate::settings::Network;
use core::cell::Cell;
use core::fmt;
use core::net::SocketAddrV4;
use embassy_net::tcp::{Error, TcpSocket};
use embassy_net::{Config, DhcpConfig, Ipv4Cidr, Stack, StaticConfigV4};
use embedded_io_async::{ErrorType, Read, Write};

/// A message with its headers in each direction; a slow reader costs round trips, nothing else.
const BUFFER_LEN: usize = 2048;

/// Bytes on their way, kept out of the loop's own frame so that a board can place them.
#[derive(Debug)]
pub struct Buffers {
    receive: [u8; BUFFER_LEN],
    send: [u8; BUFFER_LEN],
}

impl Buffers {
    /// Zeroed memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { receive: [0; BUFFER_LEN], send: [0; BUFFER_LEN] }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the socket is while no stream has it.
pub struct Socket(Cell<Option<TcpSocket<'static>>>);

impl Socket {
    /// A socket of `stack`.
    pub fn new(stack: Stack<'static>, buffers: &'static mut Buffers) -> Self {
        let mut socket = TcpSocket::new(stack, &mut buffers.receive, &mut buffers.send);
        // An answer must not wait for the acknowledgement of the packet before it.
        socket.set_nagle_enabled(false);
        Self(Cell::new(Some(socket)))
    }

    /// Whether a stream has it: one is open, or being opened.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        let socket = self.0.take();
        let is_lent = socket.is_none();
        self.0.set(socket);
        is_lent
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

/// Connects to the broker.
pub struct Link {
    stack: Stack<'static>,
    broker: SocketAddrV4,
    socket: &'static Socket,
}

impl Link {
    /// For the broker at `broker`.
    #[must_use]
    pub const fn new(stack: Stack<'static>, broker: SocketAddrV4, socket: &'static Socket) -> Self {
        Self { stack, broker, socket }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Connector for Link {
    type Transport = Stream;

    async fn connect(&mut self) -> Result<Stream, ConnectFault> {
        self.stack.wait_config_up().await;
        let mut stream = Stream { socket: self.socket.0.take(), place: self.socket };
        stream.socket()?.connect(self.broker).await.map_err(|_| ConnectFault)?;
        Ok(stream)
    }
}

/// An open stream, or one being opened.
pub struct Stream {
    socket: Option<TcpSocket<'static>>,
    place: &'static Socket,
}

impl Stream {
    fn socket(&mut self) -> Result<&mut TcpSocket<'static>, Lent> {
        self.socket.as_mut().ok_or(Lent)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(mut socket) = self.socket.take() {
            socket.abort();
            self.place.0.set(Some(socket));
        }
    }
}

impl ErrorType for Stream {
    type Error = Error;
}

impl Read for Stream {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        self.socket()?.read(bytes).await
    }
}

impl Write for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.socket()?.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.socket()?.flush().await
    }
}

/// What embassy-net is told about the node's address.
#[must_use]
pub fn config(network: Network) -> Config {
    match network {
        Network::Dhcp => Config::dhcpv4(DhcpConfig::default()),
        Network::Static { address, prefix_len, router } => Config::ipv4_static(StaticConfigV4 {
            address: Ipv4Cidr::new(address, prefix_len),
            gateway: Some(router),
            dns_servers: heapless::Vec::new(),
        }),
    }
}

/// The socket is with another stream; the node opens one at a time.
struct Lent;

impl From<Lent> for ConnectFault {
    fn from(_: Lent) -> Self {
        Self
    }
}

impl From<Lent> for Error {
    fn from(_: Lent) -> Self {
        Self::ConnectionReset
    }
}
