//! Starting a payload.

#[cfg_attr(not(test), expect(dead_code, reason = "the launcher will call it"))]
pub(crate) mod stub;
