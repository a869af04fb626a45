#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::error::CallbackError;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

type Flights = Arc<SingleFlight<u8, String>>;

/// One caller: computes if it leads, waits otherwise, begins anew if it was left alone.
fn call(flights: &Flights, compute: impl Fn() -> Outcome<String>) -> Result<String> {
    loop {
        match flights.join(1, true, &[], new_computation())? {
            Joined::Leads(lead) => {
                let outcome = compute();
                lead.end(outcome.clone());
                return match outcome {
                    Outcome::Value(value) => Ok(value),
                    Outcome::Failed(error) => Err(error),
                    Outcome::Abandoned => Err(Error::Io("interrupted".to_owned())),
                };
            }
            Joined::Follows(flight) => match flight.wait(|| Ok(()))? {
                Outcome::Value(value) => return Ok(value),
                Outcome::Failed(error) => return Err(error),
                Outcome::Abandoned => {}
            },
        }
    }
}

/// Lets `followers` threads follow a flight that this thread leads and ends with `outcome`.
fn followed(followers: usize, outcome: Outcome<String>) -> (usize, Vec<Result<String>>) {
    let flights: Flights = SingleFlight::new(&Arc::default());
    let calls = AtomicUsize::new(0);
    let Joined::Leads(lead) = flights.join(1, true, &[], new_computation()).unwrap() else {
        panic!("nobody leads yet");
    };
    let started = Barrier::new(followers + 1);
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..followers)
            .map(|_| {
                scope.spawn(|| {
                    // Joined before the flight ends, whenever the thread goes on from here.
                    let joined = flights.join(1, true, &[], new_computation()).unwrap();
                    started.wait();
                    let Joined::Follows(flight) = joined else {
                        panic!("two lead");
                    };
                    match flight.wait(|| Ok(())).unwrap() {
                        Outcome::Value(value) => Ok(value),
                        Outcome::Failed(error) => Err(error),
                        Outcome::Abandoned => call(&flights, || {
                            calls.fetch_add(1, Ordering::SeqCst);
                            Outcome::Value("anew".to_owned())
                        }),
                    }
                })
            })
            .collect();
        started.wait();
        lead.end(outcome);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(flights.running.lock().is_empty());
    (calls.into_inner(), results)
}

#[test]
fn everyone_gets_what_one_computed() {
    let (calls, results) = followed(8, Outcome::Value("one".to_owned()));
    assert_eq!(calls, 0);
    assert!(
        results
            .iter()
            .all(|result| result.as_deref().unwrap() == "one")
    );
}

#[test]
fn everyone_gets_the_error_and_the_next_call_tries_again() {
    let failure = Outcome::Failed(Error::Io("no network".to_owned()));
    let (calls, results) = followed(8, failure.clone());
    assert_eq!(calls, 0);
    for result in results {
        assert_eq!(result.unwrap_err().to_string(), "no network");
    }
    let flights: Flights = SingleFlight::new(&Arc::default());
    assert!(call(&flights, || failure.clone()).is_err());
    let again = call(&flights, || Outcome::Value("two".to_owned()));
    assert_eq!(again.unwrap(), "two");
}

#[test]
fn an_interrupt_of_the_leader_is_not_that_of_its_followers() {
    let interrupt = Error::Callback(CallbackError::interrupt(std::io::Error::other("Ctrl-C")));
    let (calls, results) = followed(8, Outcome::of_error(&interrupt));
    assert!((1..=8).contains(&calls), "{calls}");
    assert!(
        results
            .iter()
            .all(|result| result.as_deref().unwrap() == "anew")
    );
}

#[test]
fn a_leader_that_panics_leaves_nobody_waiting() {
    let flights: Flights = SingleFlight::new(&Arc::default());
    std::thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let _lead = flights.join(1, true, &[], new_computation()).unwrap();
            panic!("in the function");
        });
        assert!(panics.join().is_err());
    });
    assert_eq!(
        call(&flights, || Outcome::Value("x".to_owned())).unwrap(),
        "x"
    );
}

#[test]
fn who_would_wait_for_itself_is_told() {
    let flights: Flights = SingleFlight::new(&Arc::default());
    let _lead = flights.join(1, true, &[], new_computation()).unwrap();
    assert!(matches!(
        flights.join(1, true, &[], new_computation()),
        Err(Error::InvalidArgument(_))
    ));
    // Another key, or another way of waiting, is another matter.
    assert!(matches!(
        flights.join(2, true, &[], new_computation()),
        Ok(Joined::Leads(_))
    ));
    assert!(matches!(
        flights.join(1, false, &[], new_computation()),
        Ok(Joined::Follows(_))
    ));
    // Whoever leads without a thread of its own is known by the number of its flight.
    let Joined::Leads(lead) = flights.join(3, false, &[], new_computation()).unwrap() else {
        panic!("nobody leads yet");
    };
    for waits in [false, true] {
        assert!(matches!(
            flights.join(
                3,
                waits,
                &[lead.computation() + 1, lead.computation()],
                new_computation()
            ),
            Err(Error::InvalidArgument(_))
        ));
    }
    assert!(matches!(
        flights.join(3, false, &[lead.computation() + 1], new_computation()),
        Ok(Joined::Follows(_))
    ));
}

#[test]
fn who_would_wait_in_a_circle_is_told() {
    let waits = Arc::default();
    let (flights, others): (Flights, Flights) =
        (SingleFlight::new(&waits), SingleFlight::new(&waits));
    let lead =
        |flights: &Flights, key| match flights.join(key, false, &[], new_computation()).unwrap() {
            Joined::Leads(lead) => lead,
            Joined::Follows(_) => panic!("nobody leads yet"),
        };
    let (first, second, third) = (lead(&flights, 1), lead(&others, 1), lead(&flights, 2));
    let second_waits = flights
        .join(1, false, &[second.computation()], new_computation())
        .unwrap();
    let _third_waits = others
        .join(1, false, &[third.computation()], new_computation())
        .unwrap();
    let refused = flights.join(2, false, &[first.computation()], new_computation());
    assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    // It may wait once the second no longer waits for it, be it that this gave up or that it has ended.
    drop(second_waits);
    let waits = flights
        .join(2, false, &[first.computation()], new_computation())
        .unwrap();
    assert!(
        flights
            .join(1, false, &[second.computation()], new_computation())
            .is_err()
    );
    drop(waits);
    let _second_waits = flights
        .join(1, false, &[second.computation()], new_computation())
        .unwrap();
    second.end(Outcome::Abandoned);
    assert!(
        flights
            .join(2, false, &[first.computation()], new_computation())
            .is_ok()
    );
}

#[test]
fn an_error_of_the_check_ends_the_waiting_alone() {
    let flights: Flights = SingleFlight::new(&Arc::default());
    let lead = flights.join(1, true, &[], new_computation()).unwrap();
    let Joined::Follows(flight) = flights.join(1, false, &[], new_computation()).unwrap() else {
        panic!("two lead");
    };
    let refused = flight.wait(|| Err(Error::Io("enough".to_owned())));
    assert!(refused.is_err());
    drop(lead);
    assert!(matches!(flight.wait(|| Ok(())), Ok(Outcome::Abandoned)));
}
