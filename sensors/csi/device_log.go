package csi

import "encoding/binary"

// What the WiFi driver's own device gives is what a log holds, without the log's
// lengths. These make a log of it, for a driver that reads one.

// AppendIntelLog appends the reports of a datagram of the Intel driver's connector to
// dst as a log holds them. Messages without a report that can be decoded, which give
// no frame, are left out.
func AppendIntelLog(dst, datagram []byte) []byte {
	_ = connectorMessages(datagram, func(b []byte) { // what follows an error is no message
		if len(b) == 0 || b[0] != intelReport {
			return
		}
		if _, err := ParseIntel(b[1:]); err == nil {
			dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(b))), b...)
		}
	})
	return dst
}

// AppendAtherosLog appends a record of the Atheros driver's device, which is in this
// machine's byte order, to dst as a log holds it. One that cannot be decoded, which
// gives no frame, is left out.
func AppendAtherosLog(dst, record []byte) []byte {
	if _, err := ParseAtheros(record, binary.NativeEndian); err != nil {
		return dst
	}
	return append(binary.NativeEndian.AppendUint16(dst, uint16(len(record))), record...)
}

// AtherosLogStart returns records without CSI with which a log may begin: its reader
// believes a byte order after so many records, and takes each at once from then on.
func AtherosLogStart() []byte {
	var b []byte
	for range atherosRun {
		b, _ = AppendAtheros(b, binary.NativeEndian, &AtherosRecord{Tones: 56}) // nothing that does not fit
	}
	return b
}
