//! The front over a real Pingora server and real sockets. The lanes behind it are stand-ins that
//! never move, so that every byte of every answer is known.

mod answers;
mod client;
mod http2;
mod lifecycle;
mod operators;
mod refusals;
mod slow;
mod stand;
