//! A place among the requests in progress, and what a request may hold of the bytes of all bodies.
//!
//! A request has its place until its answer is sent **and** all that was begun for it has ended: a call of the store cannot
//! be interrupted, so it goes on when the client hangs up or the time-out has answered, and must not make room for the next
//! one before that. So the place belongs to the task that answers the request, and whatever that hands to another thread or
//! task takes the place along.

use crate::config::Limits;
use crate::error::{Answer, Code, Problem};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

tokio::task_local! {
    /// The place of the request that this task works for.
    static CURRENT: Place;
}

/// The places of a server.
pub(crate) struct Places {
    /// One permit for each request that may be in progress.
    requests: Arc<Semaphore>,
    bodies: Arc<Room>,
}

/// What is left of [`Limits::total_body_bytes`].
struct Room {
    left: AtomicUsize,
    all: usize,
}

/// The place of one request; given up with the last clone.
#[derive(Clone)]
pub(crate) struct Place(Arc<Taken>);

struct Taken {
    _request: OwnedSemaphorePermit,
    bodies: Arc<Room>,
    /// Bytes of `bodies` that the body of the request has taken.
    held: Mutex<usize>,
}

impl Places {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = limits.total_body_bytes.max(limits.body_bytes);
        Self {
            requests: Arc::new(Semaphore::new(limits.requests)),
            bodies: Arc::new(Room {
                left: AtomicUsize::new(all),
                all,
            }),
        }
    }

    /// A place for another request.
    ///
    /// # Errors
    /// `overloaded` if there is none.
    pub(crate) fn take(&self) -> Answer<Place> {
        let request = Arc::clone(&self.requests).try_acquire_owned();
        let request = request.map_err(|_| {
            Problem::new(
                Code::Overloaded,
                "as many requests are in progress as this server answers at a time; try again",
            )
        })?;
        Ok(Place(Arc::new(Taken {
            _request: request,
            bodies: Arc::clone(&self.bodies),
            held: Mutex::new(0),
        })))
    }
}

impl Room {
    fn is_full(&self) -> Problem {
        let detail = format!(
            "the bodies of the requests in progress take all of the {} bytes that this server holds of them; try again",
            self.all
        );
        Problem::new(Code::Overloaded, detail).with("limit", self.all)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let held = *self.held.get_mut();
        self.bodies.left.fetch_add(held, Ordering::Relaxed);
    }
}

impl Place {
    /// That of the request that the caller works for; `None` of what is no part of a request, and of probes.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Has `work` done for the request of this place.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// Has `work` done for the request of this place.
    pub(crate) fn sync_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    fn hold(&self, bytes: usize) -> Answer<()> {
        let Taken { bodies, held, .. } = &*self.0;
        let mut held = held.lock();
        match bytes.checked_sub(*held) {
            Some(more) => {
                let take = |left: usize| left.checked_sub(more);
                let taken = bodies
                    .left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
                taken.map_err(|_| bodies.is_full())?;
            }
            None => {
                bodies.left.fetch_add(*held - bytes, Ordering::Relaxed);
            }
        }
        *held = bytes;
        Ok(())
    }
}

/// Has `work`, which becomes a task of its own, done for the request that the caller works for.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let place = Place::current();
    async move {
        match place {
            Some(place) => place.scope(work).await,
            None => work.await,
        }
    }
}

/// States that `bytes` of the body of this request are held now, in place of what was stated before. They count as held
/// until the place is given up, since what was read of a body stays about as long as the work that it asks for.
///
/// # Errors
/// `overloaded` if they are too many beside those of the other requests.
pub(crate) fn hold_body(bytes: usize) -> Answer<()> {
    Place::current().map_or(Ok(()), |place| place.hold(bytes))
}

/// Refuses a body of `bytes` before any of it is read, if it does not fit beside those of the other requests. Takes
/// nothing: a client that announces a long body and sends none takes no room from others.
///
/// # Errors
/// `overloaded`.
pub(crate) fn check_body(bytes: usize) -> Answer<()> {
    Place::current().map_or(Ok(()), |place| {
        let Taken { bodies, held, .. } = &*place.0;
        let held = *held.lock();
        match bodies.left.load(Ordering::Relaxed).saturating_add(held) >= bytes {
            true => Ok(()),
            false => Err(bodies.is_full()),
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn places(requests: usize, total_body_bytes: usize) -> Places {
        Places::new(&Limits {
            requests,
            total_body_bytes,
            body_bytes: 1,
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn a_place_lasts_as_long_as_what_was_begun_in_it() {
        let places = places(1, 10);
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let place = places.take().unwrap();
        let mut begun = None;
        let answered = place.scope(async {
            hold_body(10).unwrap();
            begun = Some(tokio::spawn(carried(async {
                gone.await.unwrap();
                Place::current().is_some()
            })));
        });
        answered.await;
        assert_eq!(places.take().err().unwrap().code(), Code::Overloaded);
        go.send(()).unwrap();
        assert!(begun.unwrap().await.unwrap());
        places.take().unwrap().hold(10).unwrap();
        assert!(Place::current().is_none());
    }

    #[test]
    fn bytes_of_bodies_are_taken_and_given_back() {
        let places = places(3, 10);
        let (one, other) = (places.take().unwrap(), places.take().unwrap());
        one.hold(4).unwrap();
        // The same body read again takes nothing more.
        one.hold(4).unwrap();
        other.hold(6).unwrap();
        assert_eq!(one.hold(5).unwrap_err().code(), Code::Overloaded);
        assert!(one.sync_scope(|| check_body(4)).is_ok());
        assert!(one.sync_scope(|| check_body(5)).is_err());
        other.hold(1).unwrap();
        one.hold(9).unwrap();
        drop(one);
        other.hold(10).unwrap();
        assert!(hold_body(1000).is_ok() && check_body(1000).is_ok());
    }
}
