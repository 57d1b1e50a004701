//! The promises of Giọt as tests against real parts: one module per promise.

mod wire_cddl;
