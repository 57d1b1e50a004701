//! Words that both ends use about valves: why one closed, why a command was refused. Codes are part of the wire and are
//! never given a second meaning.

/// Declares a one-byte code enum with its stable text and CBOR form (an unsigned integer, RFC 8949 §3.1).
///
/// The list is open within a version: a code that a newer peer sent reads as `Unknown`, so that one new word does not
/// hold up the message that carries it.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$vdoc])* $variant = $code,)*
            /// A code that this version does not know.
            Unknown = 255,
        }

        impl $name {
            /// Every value, in order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)* Self::Unknown];

            /// The stable text used in histories, catalogues and interfaces.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Unknown => "unknown" }
            }

            /// The value of a code on the wire, `None` where this version does not know it.
            #[must_use]
            pub const fn from_wire(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* 255 => Some(Self::Unknown), _ => None }
            }

            /// The value of a stable text.
            #[must_use]
            pub fn from_code(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* "unknown" => Some(Self::Unknown), _ => None }
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self, e: &mut minicbor::Encoder<W>, _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.u8(*self as u8)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
                Ok(Self::from_wire(d.u8()?).unwrap_or(Self::Unknown))
            }
        }
    };
}
pub(crate) use codes;

codes! {
    /// Why a valve closed.
    CloseReason {
        /// The lease that the command gave was over (P3).
        LeaseEnded = 1, "lease_ended";
        /// The volume that the command gave had flowed.
        VolumeReached = 2, "volume_reached";
        /// A Close command.
        Commanded = 3, "commanded";
        /// The node's own hard maximum for one run.
        HardMaximum = 4, "hard_maximum";
        /// A person at the node's button.
        LocalButton = 5, "local_button";
        /// Every valve is closed at boot.
        Boot = 6, "boot";
        /// The supply fell below what can hold or close a valve safely.
        BrownOut = 7, "brown_out";
        /// The hardware watchdog reset the node.
        Watchdog = 8, "watchdog";
        /// The firmware stopped itself on a broken invariant.
        Panic = 9, "panic";
        /// The valve's drive reported a fault.
        Fault = 10, "fault";
    }
}

codes! {
    /// Why a node refused a command.
    RefusalReason {
        /// The tag does not fit the node's key: forged or damaged.
        BadMac = 1, "bad_mac";
        /// The counter is not above the last accepted one.
        Replayed = 2, "replayed";
        /// The node's time is outside issued_at … issued_at + ttl.
        Expired = 3, "expired";
        /// The message names another node.
        Misaddressed = 4, "misaddressed";
        /// The node does not know the time yet in this epoch.
        NotAnchored = 5, "not_anchored";
        /// The node has no such valve.
        UnknownValve = 6, "unknown_valve";
        /// The run is zero or longer than the node's hard maximum.
        LeaseTooLong = 7, "lease_too_long";
        /// No message of this protocol.
        Malformed = 8, "malformed";
        /// A newer protocol version than the node knows.
        TooNew = 9, "too_new";
        /// The node cannot take the command at this moment.
        Busy = 10, "busy";
        /// The supply cannot drive a valve.
        LowPower = 11, "low_power";
        /// A person locked the valve at the node.
        LockedLocally = 12, "locked_locally";
        /// A setting that the node does not know, or a value that it cannot use.
        BadSetting = 13, "bad_setting";
        /// A kind of message that the node does not know, or one that its board cannot do.
        Unsupported = 14, "unsupported";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for &reason in CloseReason::ALL {
            assert_eq!(CloseReason::from_wire(reason as u8), Some(reason));
            assert_eq!(CloseReason::from_code(reason.code()), Some(reason));
        }
        for &reason in RefusalReason::ALL {
            assert_eq!(RefusalReason::from_wire(reason as u8), Some(reason));
            assert_eq!(RefusalReason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(RefusalReason::from_wire(0), None);
        assert_eq!(minicbor::decode::<RefusalReason>(&[0x18, 200]).ok(), Some(RefusalReason::Unknown));
        assert!(minicbor::decode::<RefusalReason>(&[0x19, 1, 0]).is_err(), "a code has one byte");
    }
}
