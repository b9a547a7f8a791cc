//! Packagers of each kind, running: what `segue demo --packager` shows and what tests use, since the real
//! programs cannot run everywhere.

use std::sync::Arc;
use std::time::Instant;

use super::DemoError;
pub use super::admin::{Access, Fault, PASSWORD, USER};
use super::clip::Clip;
use super::manner::Manner;
use super::packager::Shape;
pub use super::packager::{Act, Packager};
pub use super::wcs::{Cold, Wcs};
pub use super::wowza::Wowza;
use crate::model::names::PackagerId;

/// A running packager, and what is special about its kind.
pub struct Simulated<M> {
    /// What can be done to it like to any.
    pub packager: Packager,
    /// What it counted, and how it is broken.
    pub manner: Arc<M>,
}

impl<M: Manner + 'static> Simulated<M> {
    /// Starts on free ports of the loopback interface. `begin`: at which unit of 2 s its first segment
    /// begins. All with the same clock show the same pictures at the same moment.
    ///
    /// # Errors
    /// Where no port can be bound.
    pub fn start(id: &str, manner: M, begin: u64, clock: Instant) -> Result<Self, DemoError> {
        let manner = Arc::new(manner);
        let shape = Shape { begin, manner: manner.clone() };
        let packager = Packager::start(PackagerId::new(id), Clip::of_one()?, shape, clock)
            .map_err(|e| DemoError::Listen(format!("a free port for packager {id}"), e))?;
        Ok(Self { packager, manner })
    }
}
