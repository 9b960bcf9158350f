package lidar

// Reason says why a datagram was rejected. It is the outcome name under which
// the source counts it, so it is short snake case and drawn from this list.
type Reason string

// The reasons for rejecting a datagram whole.
const (
	BadLength      Reason = "bad_length"      // not the size the format demands
	BadType        Reason = "bad_type"        // not a point packet
	BadVersion     Reason = "bad_version"     // unknown protocol version
	BadInitID      Reason = "bad_init_id"     // of another configuration of the sensor
	BadSerial      Reason = "bad_serial"      // of another sensor
	BadCRC         Reason = "bad_crc"         // checksum does not match
	BadColumn      Reason = "bad_column"      // measurement ids outside the frame, or not one behind the other
	BadBlock       Reason = "bad_block"       // a block without its flag, or with an impossible azimuth
	UnknownProduct Reason = "unknown_product" // a model without a geometry
	UnsupportedPt  Reason = "unsupported_pts" // point type without a decoder
)

// Error returns the reason itself, so that decoders can return it as an error
// without allocating.
func (r Reason) Error() string { return "lidar packet rejected: " + string(r) }
