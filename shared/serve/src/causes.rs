//! An error with all its causes as one line for people.

use std::error::Error;

/// What `error` says, then what its causes say; what has been said already is left out, since many an error quotes its cause.
#[must_use]
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::with_causes;

    #[derive(Debug)]
    struct Outer {
        text: &'static str,
        cause: io::Error,
    }

    impl std::fmt::Display for Outer {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str(self.text)
        }
    }

    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.cause)
        }
    }

    #[test]
    fn causes_follow_unless_they_are_quoted() {
        let outer = |text| Outer { text, cause: io::Error::other("the disk is full") };
        assert_eq!(with_causes(&outer("cannot write")), "cannot write: the disk is full");
        assert_eq!(with_causes(&outer("cannot write: the disk is full")), "cannot write: the disk is full");
    }
}
