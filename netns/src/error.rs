//! Failures of network set-up, told as `cannot <verb> <object>: <cause>`.

use std::io;

use nix::errno::Errno;
use rtnetlink::packet_core::ErrorMessage;

/// Result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An action that failed, on which object, and the cause in words.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {cause}")]
pub struct Error {
    action: String,
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("{}", describe(*errno, detail.as_deref()))]
    Errno {
        errno: Errno,
        detail: Option<String>,
    },
    #[error("{0}")]
    Other(String),
}

impl Error {
    pub(crate) fn io(action: impl Into<String>, error: &io::Error) -> Self {
        let cause = match error.raw_os_error() {
            Some(code) => Cause::Errno {
                errno: Errno::from_raw(code),
                detail: None,
            },
            None => Cause::Other(error.to_string()),
        };
        Self {
            action: action.into(),
            cause,
        }
    }

    pub(crate) fn netlink(action: impl Into<String>, error: &rtnetlink::Error) -> Self {
        let cause = match error {
            rtnetlink::Error::NetlinkError(message) => Cause::Errno {
                errno: Errno::from_raw(message.raw_code().abs()),
                detail: kernel_text(message),
            },
            rtnetlink::Error::RequestFailed => {
                Cause::Other("the kernel closed the netlink socket".to_owned())
            }
            other => Cause::Other(other.to_string()),
        };
        Self {
            action: action.into(),
            cause,
        }
    }

    pub(crate) fn other(action: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            cause: Cause::Other(cause.into()),
        }
    }

    /// The link that was asked for is not there.
    pub(crate) fn missing(action: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            cause: Cause::Errno {
                errno: Errno::ENODEV,
                detail: None,
            },
        }
    }

    /// The kernel's error number, if it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self.cause {
            Cause::Errno { errno, .. } => Some(errno),
            Cause::Other(_) => None,
        }
    }

    /// Whether the link that was acted on does not exist, or no longer.
    pub(crate) fn is_gone(&self) -> bool {
        self.errno() == Some(Errno::ENODEV)
    }
}

fn describe(errno: Errno, detail: Option<&str>) -> String {
    let mut text = errno.desc().to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    match detail {
        Some(detail) => format!("{text} ({detail})"),
        None => text,
    }
}

/// The sentence that the kernel adds to some refusals: the attribute
/// `NLMSGERR_ATTR_MSG` behind the echoed request header. It is there because the socket
/// asked for `NETLINK_EXT_ACK`, and the request's body is not because it asked for
/// `NETLINK_CAP_ACK`; see netlink(7).
fn kernel_text(message: &ErrorMessage) -> Option<String> {
    const HEADER_LEN: usize = 16;
    const NLMSGERR_ATTR_MSG: u16 = 1;

    let mut rest = message.header.get(HEADER_LEN..)?;
    while let Some((&[a, b, c, d], _)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([c, d]) == NLMSGERR_ATTR_MSG {
            let text = String::from_utf8_lossy(value);
            return Some(text.trim_end_matches('\0').to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: i32, attributes: &[u8]) -> rtnetlink::Error {
        let mut message = ErrorMessage::default();
        message.code = std::num::NonZeroI32::new(code);
        message.header = [&[0; 16], attributes].concat();
        rtnetlink::Error::NetlinkError(message)
    }

    #[test]
    fn tells_action_object_and_errno_in_words() {
        let error = Error::netlink("create veth ve-x", &refusal(-17, &[]));
        assert_eq!(error.to_string(), "cannot create veth ve-x: file exists");
        assert_eq!(error.errno(), Some(Errno::EEXIST));
    }

    #[test]
    fn adds_what_the_kernel_says() {
        let mut attributes = vec![8, 0, 2, 0, 1, 1, 1, 1];
        attributes.extend([4 + 6, 0, 1, 0]);
        attributes.extend(b"hello\0\0\0");
        let error = Error::netlink("set link x", &refusal(-22, &attributes));
        assert_eq!(
            error.to_string(),
            "cannot set link x: invalid argument (hello)"
        );
    }

    #[test]
    fn damaged_attributes_are_ignored() {
        for attributes in [&[1, 0, 1, 0][..], &[255, 255, 1, 0], &[0, 0, 0, 0], &[4]] {
            let error = Error::netlink("do", &refusal(-1, attributes));
            assert_eq!(error.to_string(), "cannot do: operation not permitted");
        }
    }
}
