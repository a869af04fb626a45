//! Counters by method, route and status, found without making their labels anew for each request.

use metrics::{Counter, Histogram};
use parking_lot::RwLock;
use std::collections::HashMap;

/// The counters of a route, a few for each method and status that it has answered with.
type OfRoute = Vec<(&'static str, u16, Counters)>;
type Counters = (Counter, Histogram);

/// By route.
#[derive(Default)]
pub(super) struct Requests {
    /// Held for a few instructions, and to make new ones.
    known: RwLock<HashMap<String, OfRoute>>,
}

impl Requests {
    /// The counters of a method, route and status; made by `new` when first needed.
    pub(super) fn of(
        &self,
        method: &'static str,
        route: &str,
        status: u16,
        new: impl FnOnce() -> Counters,
    ) -> Counters {
        let find = |of_route: &OfRoute| {
            let mut known = of_route.iter();
            known
                .find(|known| (known.0, known.1) == (method, status))
                .map(|known| known.2.clone())
        };
        if let Some(found) = self.known.read().get(route).and_then(find) {
            return found;
        }
        let mut known = self.known.write();
        let of_route = known.entry(route.to_owned()).or_default();
        if let Some(found) = find(of_route) {
            return found;
        }
        let made = new();
        of_route.push((method, status, made.clone()));
        made
    }
}
