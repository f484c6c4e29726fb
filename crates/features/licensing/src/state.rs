//! Shared state of the routes and background work of licensing.

use std::sync::Arc;

use portico_licensing::{key::KeyVault, ports::LicenseSigner};
use portico_runtime::core::Core;

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Makes and reads license keys.
    pub vault: KeyVault,
    /// Signs license files; none where the installation has no key of its own for that.
    pub signer: Option<Arc<dyn LicenseSigner>>,
}

impl App {
    /// The same state for background work.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), ..self.clone() }
    }
}
