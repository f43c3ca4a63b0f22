//! What goes out to C. Every place is checked before the call does anything, and written last.

use std::ffi::c_char;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::time::Duration;

use crate::error::Result;
use crate::ffi::input;

/// Where one value goes.
pub(super) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    ///
    /// If `place` is not NULL, a `T` can be written to it until the result is dropped.
    pub(super) unsafe fn new(name: &str, place: *mut T) -> Result<Self> {
        let Some(place) = NonNull::new(place) else {
            return Err(input::null(name));
        };
        if !place.is_aligned() {
            return Err(input::argument(format!("{name} is not aligned")));
        }
        Ok(Self(place))
    }

    pub(super) fn write(self, value: T) {
        // SAFETY: by contract of `new`.
        unsafe { self.0.write(value) };
    }
}

/// Where a text goes.
pub(super) struct Room<'a> {
    buf: *mut u8,
    cap: usize,
    _borrow: PhantomData<&'a mut [u8]>,
}

impl Room<'_> {
    /// # Safety
    ///
    /// If `buf` is not NULL, `cap` bytes can be written to it until the result is dropped.
    pub(super) unsafe fn new(buf: *mut c_char, cap: usize) -> Result<Self> {
        check_room(buf, cap)?;
        Ok(Self {
            buf: buf.cast(),
            cap,
            _borrow: PhantomData,
        })
    }

    /// Writes as much as there is room for, and a NUL where it fits. Returns the length of all.
    pub(super) fn fill(self, text: &str) -> i64 {
        let len = text.len().min(self.cap);
        // SAFETY: by contract of `new`; `text` is the library's own memory, so that both are
        // apart. With a `cap` of 0 nothing is written.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), self.buf, len);
            if len < self.cap {
                self.buf.add(len).write(0);
            }
        }
        // Texts in memory are shorter than i64::MAX.
        text.len() as i64
    }
}

/// Whether there can be `cap` bytes of room at `buf`.
pub(super) fn check_room<T>(buf: *mut T, cap: usize) -> Result<()> {
    if isize::try_from(cap).is_err() {
        return Err(input::argument(format!("cap cannot be {cap}")));
    }
    if buf.is_null() && cap > 0 {
        return Err(input::null("buf"));
    }
    Ok(())
}

/// A time in nanoseconds; 0 if it is not known.
pub(super) fn nanoseconds(time: Option<Duration>) -> u64 {
    time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_to_the_room_and_its_full_length_returned() {
        for cap in 0..6 {
            let mut buf = [b'#'; 6];
            // SAFETY: `cap` is at most the length of `buf`.
            let room = unsafe { Room::new(buf.as_mut_ptr().cast(), cap) }.unwrap();
            assert_eq!(room.fill("abc"), 3);
            let expected: &[u8; 6] = match cap {
                0 => b"######",
                1 => b"a#####",
                2 => b"ab####",
                3 => b"abc###",
                _ => b"abc\0##",
            };
            assert_eq!(&buf, expected, "{cap}");
        }
    }

    #[test]
    fn no_room_may_be_null() {
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(Room::new(ptr::null_mut(), 0).unwrap().fill("abc"), 3);
            assert!(Room::new(ptr::null_mut(), 1).is_err());
            assert!(Room::new(ptr::dangling_mut(), usize::MAX).is_err());
            assert!(Out::<u64>::new("socket_out", ptr::null_mut()).is_err());
        }
    }

    #[test]
    fn a_misaligned_place_is_refused() {
        let mut place = [0_u64; 2];
        // SAFETY: inside `place`; refused before it is written.
        let refused = unsafe { Out::new("socket_out", place.as_mut_ptr().byte_add(1)) };
        assert!(refused.is_err());
    }

    #[test]
    fn times_saturate() {
        assert_eq!(nanoseconds(None), 0);
        assert_eq!(nanoseconds(Some(Duration::from_micros(2))), 2000);
        assert_eq!(nanoseconds(Some(Duration::MAX)), u64::MAX);
    }
}
