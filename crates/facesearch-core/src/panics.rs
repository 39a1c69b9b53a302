//! Panics of libraries, caught and made errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{UnwindSafe, catch_unwind};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `call`; where it panics, gives the first line of the panic's message.
///
/// For calls into libraries that panic on bad files. A panic hook learns from
/// [`is_panic_caught`] that the caller reports the failure, so that nothing need be printed.
///
/// # Errors
///
/// The first line of the message of a panic of `call`.
pub fn catch_panic<T>(call: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(call);
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|panic| first_line(panic.as_ref()))
}

/// Whether a panic of this thread would be caught by [`catch_panic`].
pub fn is_panic_caught() -> bool {
    DEPTH.get() > 0
}

fn first_line(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_first_line_and_is_known_to_be_caught() {
        assert!(!is_panic_caught());
        let nested = catch_panic(|| {
            assert_eq!(catch_panic(|| panic!("inner {}\nmore", 1)), Err::<(), _>("inner 1".into()));
            is_panic_caught()
        });
        assert_eq!(nested, Ok(true));
        assert!(!is_panic_caught());
    }
}
