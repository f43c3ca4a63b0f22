//! Whether a descriptor still is that of our socket: an application may close it by mistake, and
//! another file gets the number.

use socket2::SockRef;

/// By which the system tells its sockets apart, where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie(Option<u64>);

impl Cookie {
    /// The one of a socket.
    pub fn of(socket: &SockRef<'_>) -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return Self(socket.cookie().ok());
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        {
            let _ = socket;
            Self(None)
        }
    }

    /// Whether it is the one of what this descriptor is of now, as far as the system says.
    pub fn is_of(self, socket: &SockRef<'_>) -> bool {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(own) = self.0 {
            return match socket.cookie() {
                Ok(cookie) => cookie == own,
                // No descriptor, or one of something else. Whatever else fails says nothing of it.
                Err(error) => {
                    ![Some(libc::EBADF), Some(libc::ENOTSOCK)].contains(&error.raw_os_error())
                }
            };
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = socket;
        true
    }
}
