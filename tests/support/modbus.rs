//! The checksum of Modbus RTU, computed apart from the firmware's codec, for whoever plays a device.

/// The bytes with their CRC-16/MODBUS after them, low byte first (Modbus over Serial Line V1.02 §6.2.2).
#[must_use]
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut crc = 0xffff_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa001 } else { crc >> 1 };
        }
    }
    let mut frame = bytes.to_vec();
    frame.extend(crc.to_le_bytes());
    frame
}
