//! What comes in from C, checked. The names are those of the C parameters, for sentences.

use std::ffi::{CStr, c_char, c_void};
use std::slice;
use std::time::Duration;

use crate::delivery::MessageKind;
use crate::error::{Error, Result};
use crate::ffi::event::{WSABI_BINARY, WSABI_PLAIN, WSABI_TEXT};
use crate::ffi::library::WSABI_NUL_TERMINATED;

/// `len` bytes at `data`, which is NULL only if there are none.
///
/// # Safety
///
/// If `data` is not NULL, `len` bytes at it can be read and do not change while the result lives.
pub(super) unsafe fn bytes<'a>(name: &str, data: *const c_void, len: usize) -> Result<&'a [u8]> {
    // SAFETY: the same contract; every byte is a valid one.
    unsafe { array(name, data.cast(), len) }
}

/// `len` values at `items`, which is NULL only if there are none.
///
/// # Safety
///
/// If `items` is not NULL, `len` valid values at it can be read and do not change while the result
/// lives.
pub(super) unsafe fn array<'a, T>(name: &str, items: *const T, len: usize) -> Result<&'a [T]> {
    if len
        .checked_mul(size_of::<T>())
        .is_none_or(|bytes| bytes > isize::MAX as usize)
    {
        return Err(argument(format!("{name} cannot have a length of {len}")));
    }
    if items.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(null(name)) };
    }
    if !items.is_aligned() {
        return Err(argument(format!("{name} is not aligned")));
    }
    // SAFETY: not NULL, aligned, not longer than memory can be, and otherwise the caller's
    // contract.
    Ok(unsafe { slice::from_raw_parts(items, len) })
}

/// `len` bytes of UTF-8 at `text`, or up to a NUL if `len` says so.
///
/// # Safety
///
/// As for `bytes`; with `WSABI_NUL_TERMINATED`, a NUL ends the bytes that can be read.
pub(super) unsafe fn text<'a>(name: &str, text: *const c_char, len: usize) -> Result<&'a str> {
    // SAFETY: the same contract.
    let bytes = unsafe { text_bytes(name, text, len) }?;
    if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
        return Ok(text);
    }
    str::from_utf8(bytes).map_err(|error| {
        argument(format!(
            "{name} is not UTF-8: the byte at offset {}",
            error.valid_up_to()
        ))
    })
}

/// `len` bytes at `text`, which may be UTF-8, or up to a NUL if `len` says so.
///
/// # Safety
///
/// As for `text`.
pub(super) unsafe fn text_bytes<'a>(
    name: &str,
    text: *const c_char,
    len: usize,
) -> Result<&'a [u8]> {
    if len != WSABI_NUL_TERMINATED {
        // SAFETY: the same contract.
        return unsafe { bytes(name, text.cast(), len) };
    }
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and NUL-terminated by the caller's contract.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Text that will be compared or written where a NUL would be a trap.
///
/// # Safety
///
/// As for `text`.
pub(super) unsafe fn setting<'a>(name: &str, text: *const c_char, len: usize) -> Result<&'a str> {
    // SAFETY: the same contract.
    let text = unsafe { self::text(name, text, len) }?;
    if let Some(offset) = text.bytes().position(|byte| byte == 0) {
        return Err(argument(format!("{name} has a NUL at offset {offset}")));
    }
    Ok(text)
}

/// The kind of a message that is sent, and whether it is to stay uncompressed.
pub(super) fn message_type(name: &str, number: i32) -> Result<(MessageKind, bool)> {
    let kind = match number & !WSABI_PLAIN {
        WSABI_TEXT => MessageKind::Text,
        WSABI_BINARY => MessageKind::Binary,
        _ => {
            return Err(argument(format!(
                "{name} is {number}, neither WSABI_TEXT nor WSABI_BINARY"
            )));
        }
    };
    Ok((kind, number & WSABI_PLAIN != 0))
}

/// Something is 0 or 1.
pub(super) fn flag(name: &str, number: i32) -> Result<bool> {
    match number {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(argument(format!("{name} is {number}, neither 0 nor 1"))),
    }
}

/// A time in milliseconds, -1 for one without end.
pub(super) fn timeout(timeout_ms: i32) -> Result<Option<Duration>> {
    match (u64::try_from(timeout_ms), timeout_ms) {
        (Ok(milliseconds), _) => Ok(Some(Duration::from_millis(milliseconds))),
        (Err(_), -1) => Ok(None),
        _ => Err(argument(format!(
            "timeout_ms is {timeout_ms}, less than -1"
        ))),
    }
}

pub(super) fn argument(sentence: String) -> Error {
    Error::Argument(sentence.into())
}

pub(super) fn null(name: &str) -> Error {
    argument(format!("{name} is NULL"))
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn sentence<T: std::fmt::Debug>(result: Result<T>) -> String {
        let Err(Error::Argument(sentence)) = result else {
            panic!("{result:?}")
        };
        sentence.into_owned()
    }

    #[test]
    fn null_is_no_bytes_and_nothing_else() {
        // SAFETY: NULL is allowed.
        let (none, some, huge) = unsafe {
            (
                bytes("data", ptr::null(), 0),
                bytes("data", ptr::null(), 1),
                bytes("data", ptr::null(), usize::MAX),
            )
        };
        assert_eq!(none.unwrap(), b"");
        assert_eq!(sentence(some), "data is NULL");
        assert!(sentence(huge).contains("length"));
    }

    #[test]
    fn lengths_that_memory_cannot_have_are_refused_unread() {
        let too_long = isize::MAX as usize + 1;
        // SAFETY: refused for their lengths, before anything is read.
        unsafe {
            sentence(bytes("data", b"abc".as_ptr().cast(), too_long));
            sentence(text("text", c"abc".as_ptr(), too_long));
            sentence(array::<u64>("items", ptr::dangling(), too_long / 8));
            sentence(array::<u64>("items", ptr::dangling(), usize::MAX));
        }
    }

    #[test]
    fn a_misaligned_array_is_refused() {
        let items = [0_u64; 2];
        // SAFETY: refused before it is read.
        let refused = unsafe { array::<u64>("items", items.as_ptr().byte_add(1), 1) };
        assert_eq!(sentence(refused), "items is not aligned");
    }

    #[test]
    fn text_ends_at_its_length_or_at_its_nul() {
        let long = c"a\xc3\xa4\xf0\x9f\x99\x82z";
        // SAFETY: the text lives and has a NUL.
        unsafe {
            assert_eq!(text("text", long.as_ptr(), 3).unwrap(), "aä");
            assert_eq!(
                text("text", long.as_ptr(), WSABI_NUL_TERMINATED).unwrap(),
                "aä🙂z"
            );
            assert_eq!(text("text", ptr::null(), 0).unwrap(), "");
            let null = text("text", ptr::null(), WSABI_NUL_TERMINATED);
            assert_eq!(sentence(null), "text is NULL");
            let cut = text("text", long.as_ptr(), 5);
            assert_eq!(sentence(cut), "text is not UTF-8: the byte at offset 3");
        }
    }

    #[test]
    fn settings_have_no_nul() {
        // SAFETY: literals of these lengths.
        unsafe {
            assert_eq!(setting("name", c"ab".as_ptr(), 2).unwrap(), "ab");
            let inner = setting("name", c"ab".as_ptr(), 3);
            assert_eq!(sentence(inner), "name has a NUL at offset 2");
            assert_eq!(text("text", c"ab".as_ptr(), 3).unwrap(), "ab\0");
        }
    }

    #[test]
    fn types_and_flags_are_checked() {
        assert_eq!(message_type("type", 1).unwrap(), (MessageKind::Text, false));
        assert_eq!(
            message_type("type", 18).unwrap(),
            (MessageKind::Binary, true)
        );
        for number in [0, 3, 4, 16, 17 + 16 + 2, -1, i32::MIN] {
            assert!(message_type("type", number).is_err(), "{number}");
        }
        assert!(!flag("fin", 0).unwrap() && flag("fin", 1).unwrap());
        assert_eq!(sentence(flag("fin", 2)), "fin is 2, neither 0 nor 1");
    }
}
