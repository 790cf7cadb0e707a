//! The certificate that a program shows: told before it ends, and while nobody takes it.
//!
//! Guarantees: what is wrong with its dates is written to the log when it begins to be so, because of a new file or of the
//! time that passes, and not again until it changes; its figure is of the moment at which it is read.

use std::mem::{Discriminant, discriminant};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_types::{CertificateStanding, CertificateTerm, Clock};

/// See the module.
#[derive(Debug)]
pub struct CertificateWatch {
    /// Whose it is, for the log.
    whose: &'static str,
    clock: Arc<dyn Clock>,
    now: Mutex<(CertificateTerm, Option<Discriminant<CertificateStanding>>)>,
}

impl CertificateWatch {
    /// Nothing was told yet.
    pub fn new(whose: &'static str, clock: Arc<dyn Clock>, term: CertificateTerm) -> Self {
        Self { whose, clock, now: Mutex::new((term, None)) }
    }

    /// Another one is shown from now on: how it stands is told, whatever was told of the last one.
    pub fn exchange(&self, term: CertificateTerm) {
        *self.lock() = (term, None);
        self.look();
    }

    /// Tells how it stands, if that was not told yet. What was told, if something was.
    pub fn look(&self) -> Option<CertificateStanding> {
        let mut now = self.lock();
        let standing = now.0.standing(self.clock.now());
        let (whose, kind) = (self.whose, discriminant(&standing));
        if now.1.replace(kind) == Some(kind) {
            return None;
        }
        match standing {
            CertificateStanding::Good(_) => return None,
            CertificateStanding::EndsSoon(_) => {
                tracing::warn!(whose, %standing, "a certificate should be exchanged: afterwards nobody takes it");
            }
            CertificateStanding::NotYet(_) | CertificateStanding::Over(_) => {
                tracing::error!(whose, %standing, "nobody takes this certificate: exchange it");
            }
        }
        Some(standing)
    }

    /// For how many seconds it is still good: below 0 when it is over.
    pub fn seconds_left(&self) -> f64 {
        self.lock().0.seconds_left(self.clock.now())
    }

    // Each step leaves both whole.
    fn lock(&self) -> MutexGuard<'_, (CertificateTerm, Option<Discriminant<CertificateStanding>>)> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis_types::{ManualClock, Timestamp};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// 1 January 2030.
    const START: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn of_a_year() -> CertificateTerm {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).expect("a valid name");
        (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
        let key = KeyPair::generate().expect("makes a key");
        CertificateTerm::of_pem(params.self_signed(&key).expect("is signed").pem().as_bytes()).expect("it is one")
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_once_each_time_it_begins() {
        let clock = Arc::new(ManualClock::starting_at(START.saturating_sub(DAY)));
        let watch = CertificateWatch::new("a test", clock.clone(), of_a_year());
        assert_eq!(watch.look(), Some(CertificateStanding::NotYet(DAY)));
        clock.advance(2 * DAY);
        assert_eq!((watch.look(), watch.look()), (None, None), "it is good");
        clock.advance(360 * DAY);
        assert_eq!((watch.look(), watch.look()), (Some(CertificateStanding::EndsSoon(4 * DAY)), None));
        clock.advance(5 * DAY);
        assert_eq!((watch.look(), watch.look()), (Some(CertificateStanding::Over(DAY)), None));
        assert!((watch.seconds_left() + DAY.as_secs_f64()).abs() < 1e-6);
        watch.exchange(of_a_year());
        assert_eq!(watch.look(), None, "the exchange told it");
    }
}
