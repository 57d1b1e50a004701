//! Streams to the broker over TCP.

use embedded_io_async::{ErrorType, Read, Write};
use giot_firmware::board::{ConnectFault, Connector};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connects to `host:port`.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    broker: String,
}

impl TcpConnector {
    /// For the broker at `host:port`.
    #[must_use]
    pub const fn new(broker: String) -> Self {
        Self { broker }
    }
}

impl Connector for TcpConnector {
    type Transport = TcpTransport;

    async fn connect(&mut self) -> Result<TcpTransport, ConnectFault> {
        let connected = async {
            let stream = TcpStream::connect(&self.broker).await?;
            // Without this an answer waits for the acknowledgement of the packet before it: 40 ms on Linux.
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(TcpTransport(stream))
        };
        connected.await.map_err(|error| {
            tracing::debug!(broker = self.broker, %error, "the broker is not there");
            ConnectFault
        })
    }
}

/// An open TCP stream.
#[derive(Debug)]
pub struct TcpTransport(TcpStream);

impl ErrorType for TcpTransport {
    type Error = io::Error;
}

impl Read for TcpTransport {
    async fn read(&mut self, bytes: &mut [u8]) -> Result<usize, io::Error> {
        self.0.read(bytes).await
    }
}

impl Write for TcpTransport {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, io::Error> {
        self.0.write(bytes).await
    }

    async fn flush(&mut self) -> Result<(), io::Error> {
        self.0.flush().await
    }
}
