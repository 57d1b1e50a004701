//! Streams to the broker over the one TCP socket of the board.
//!
//! The socket is lent to each stream and comes back when the stream is dropped, so that its buffers exist once.

use core::cell::Cell;
use core::net::SocketAddrV4;
use embassy_net::Stack;
use embassy_net::tcp::{Error, TcpSocket};
use embedded_io_async::{ErrorType, Read, Write};
use giot_firmware::board::{ConnectFault, Connector};
use static_cell::{ConstStaticCell, StaticCell};

/// A message with its headers in each direction; a slow reader costs round trips, nothing else.
const BUFFER_LEN: usize = 2048;

type Place = Cell<Option<TcpSocket<'static>>>;

static RECEIVE: ConstStaticCell<[u8; BUFFER_LEN]> = ConstStaticCell::new([0; BUFFER_LEN]);
static SEND: ConstStaticCell<[u8; BUFFER_LEN]> = ConstStaticCell::new([0; BUFFER_LEN]);
static PLACE: StaticCell<Place> = StaticCell::new();

/// Connects to the broker.
pub(crate) struct Link {
    stack: Stack<'static>,
    broker: SocketAddrV4,
    socket: &'static Place,
}

impl Link {
    /// For the broker at `broker`; at most one in a program.
    pub(crate) fn new(stack: Stack<'static>, broker: SocketAddrV4) -> Self {
        let mut socket = TcpSocket::new(stack, RECEIVE.take(), SEND.take());
        // An answer must not wait for the acknowledgement of the packet before it.
        socket.set_nagle_enabled(false);
        Self { stack, broker, socket: PLACE.init(Cell::new(Some(socket))) }
    }
}

impl Connector for Link {
    type Transport = Stream;

    async fn connect(&mut self) -> Result<Stream, ConnectFault> {
        self.stack.wait_config_up().await;
        let mut stream = Stream { socket: self.socket.take(), place: self.socket };
        stream.socket()?.connect(self.broker).await.map_err(|_| ConnectFault)?;
        Ok(stream)
    }
}

/// An open stream, or one being opened.
pub(crate) struct Stream {
    socket: Option<TcpSocket<'static>>,
    place: &'static Place,
}

impl Stream {
    fn socket(&mut self) -> Result<&mut TcpSocket<'static>, Lent> {
        self.socket.as_mut().ok_or(Lent)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(mut socket) = self.socket.take() {
            socket.abort();
            self.place.set(Some(socket));
        }
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
