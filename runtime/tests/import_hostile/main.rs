//! Hostile and damaged archives: each is refused with a message of its own, or imported
//! with a warning, and leaves nothing else behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod ends;
mod headers;
mod limits;
mod paths;
mod places;

use nsrun_runtime::Kind;
use nsrun_runtime::image::WarningKind;

use support::Place;

/// Refused as bad input, for a reason whose text contains `why`.
#[track_caller]
fn refuse(archive: &[u8], why: &str) {
    let error = Place::new().refused(archive);
    assert!(error.to_string().contains(why), "{error}");
    assert_eq!(error.kind(), Kind::BadInput, "{error}");
}

/// Imported with exactly these warnings.
#[track_caller]
fn accept(archive: &[u8], warnings: &[(WarningKind, u64)]) -> Place {
    let place = Place::new();
    let report = place.import(archive).unwrap();
    let got: Vec<_> = report.warnings.iter().map(|w| (w.kind, w.count)).collect();
    assert_eq!(got, warnings);
    assert_eq!(place.left(), ["web"]);
    place.assert_untouched();
    place
}
