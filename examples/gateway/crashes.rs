//! What crashes a service from outside.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use millstream::prelude::*;

use crate::{SERVICES, name};

/// What crashes a service, whatever it is doing. With each life it gets another.
#[derive(Clone)]
pub(crate) struct Crashes(Arc<Mutex<[KillSwitch; 3]>>);

impl Crashes {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(SERVICES.map(KillSwitch::new))))
    }

    pub(crate) fn crash(&self, service: usize) {
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(life) = lives.get_mut(service) {
            mem::replace(life, KillSwitch::new(name(service))).abort("the service crashed");
        }
    }

    pub(crate) fn life(&self, service: usize) -> KillSwitch {
        let lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lives.get(service).cloned().unwrap_or_else(|| KillSwitch::new(name(service)))
    }
}
