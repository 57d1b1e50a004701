//! Round trips, limits, truncation, bit flips, evolution and authenticity of the wire.
