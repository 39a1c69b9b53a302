//! What libraries have to say, on stderr: their events, and panics.

use std::fmt;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use facesearch_core::{escape_text, is_panic_caught};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

use crate::printer::say;

/// Lets libraries' events through: warnings by default, more with each `-v`; the variable
/// `FACESEARCH_LOG` takes the usual filter syntax and overrides both.
///
/// sled logs what it finds in damaged files as errors, which our own errors say in other words, so
/// its events are left out unless the variable asks for them.
pub(crate) fn start(verbose: u8) {
    let default = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let typed = std::env::var("FACESEARCH_LOG").ok();
    let filter = |wanted: &str| EnvFilter::try_new(format!("sled=off,{wanted}"));
    let filter = typed.and_then(|typed| filter(&typed).ok()).or_else(|| filter(default).ok());
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_default())
        .with_ansi(!no_colour && std::io::stderr().is_terminal())
        .fmt_fields(SafeFields)
        // It would be said with `eprintln!`, which panics where stderr cannot be written.
        .log_internal_errors(false)
        // It would be said with `eprintln!`, which panics where stderr cannot be written.
        .log_internal_errors(false)
        .with_writer(std::io::stderr)
        .init();
}

/// The fields of an event on one line, without anything that a terminal would obey: they quote
/// names of files.
struct SafeFields;

impl<'writer> FormatFields<'writer> for SafeFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        writer.write_str(&escape_text(&text))
    }
}

/// Lets no panic be printed that becomes an error message anyway, or is one of sled's own threads,
/// whose caller meets an error; says of all others that they are bugs.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let of_sled = |name: &str| name.starts_with("sled-io-") || name == "log flusher";
        let is_of_sled = thread.name().is_some_and(of_sled);
        if !is_panic_caught() && !is_of_sled {
            say_bug(panic);
        }
    }));
}

fn say_bug(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(|at| format!(" at {at}")).unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("no message");
    say(&format!("error: this is a bug in facesearch; please report it: panic{place}: {what}"));
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        backtrace.to_string().lines().for_each(say);
    }
}
