//! Several acknowledgements, one write: the store tells of a whole group at once, and a connection may have dozens in it.

use super::connection::Connection;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// Connections with something to write at the end; `None` outside [`together`].
    static NOTED: RefCell<Option<Vec<Arc<Connection>>>> = const { RefCell::new(None) };
}

/// Calls `tell`, and writes the acknowledgements that it gives on this thread when it returns: one write a connection.
pub fn together(tell: &mut dyn FnMut()) {
    NOTED.set(Some(Vec::new()));
    tell();
    let noted = NOTED.take().unwrap_or_default();
    for connection in noted {
        connection.write_noted();
    }
}

/// Puts a connection on the list; `false` when its bytes must be written now.
pub(super) fn note(connection: &Arc<Connection>) -> bool {
    NOTED.with_borrow_mut(|noted| {
        let is_together = noted.is_some();
        if let Some(noted) = noted {
            noted.push(Arc::clone(connection));
        }
        is_together
    })
}
