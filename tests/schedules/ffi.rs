//! The pointers of the application, with what they take from beside them.

mod foreign {
    pub fn call<T>(function: impl FnOnce() -> T) -> T {
        function()
    }
}
pub mod pointers;
#[path = "../../src/ffi/user_data.rs"]
mod user_data;
