//! Conformance, hardening, properties, architecture, interop.
