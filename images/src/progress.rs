//! How a long build tells its caller where it is. The caller draws a bar or prints lines; nothing here prints.

/// One report of a running build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A new step has begun; one short phrase for people ("unpacking packages").
    Step(&'a str),
    /// One line of output of a program that runs in the current step.
    Line(&'a str),
    /// Bytes done of the current step; `total` when it is known beforehand.
    Bytes {
        /// Bytes processed so far.
        done: u64,
        /// Bytes in all.
        total: Option<u64>,
    },
}

/// The callback that receives [`Progress`]; called on the thread that runs the build.
pub type ProgressFn<'a> = dyn FnMut(Progress<'_>) + 'a;
