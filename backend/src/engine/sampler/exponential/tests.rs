//! Against double precision.

use super::exp;

#[test]
fn it_is_the_exponential_up_to_rounding() {
    for step in 0..870_000 {
        let x = -(step as f32) / 10_000.0;
        let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
        assert!((found / expected - 1.0).abs() < 4e-7, "{x}: {found} {expected}");
    }
}

#[test]
fn its_ends_are_exact() {
    assert_eq!(exp(0.0), 1.0);
    assert_eq!((exp(-87.01), exp(-1e30), exp(f32::NEG_INFINITY)), (0.0, 0.0, 0.0));
}
