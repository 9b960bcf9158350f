package lidar

import (
	"context"
	"fmt"

	"posefuse/sensors"
	"posefuse/setting"
)

// OusterConfig describes an Ouster OS sensor.
type OusterConfig struct {
	UDPConfig    `yaml:",inline"`
	MetadataFile string `yaml:"metadata_file"` // the sensor's metadata JSON, read again when it changes
	Sensor       string `yaml:"sensor"`        // address of the sensor, of which the metadata is fetched
}

// NewOusterConfig returns the defaults.
func NewOusterConfig() *OusterConfig {
	return &OusterConfig{UDPConfig: newUDPConfig("127.0.0.1:7502"), MetadataFile: "./posefuse-state/ouster.json"}
}

// Check implements sensors.Settings.
func (c *OusterConfig) Check() setting.Problems {
	p := c.UDPConfig.check()
	if c.MetadataFile == "" && c.Sensor == "" {
		p.Add("metadata_file", "empty; name the sensor's metadata JSON (http://SENSOR/api/v1/sensor/metadata), or the sensor's address in sensor")
	}
	if c.Sensor != "" && !isHost(c.Sensor) {
		p.Add("sensor", "%q is no address; write the sensor's IP address or name alone, e.g. 192.168.1.30", c.Sensor)
	}
	return p
}

// Files implements sensors.FileSettings. With a sensor that is asked the file
// need not be there.
func (c *OusterConfig) Files() map[string]string {
	if c.Sensor != "" || c.MetadataFile == "" {
		return nil
	}
	return map[string]string{"metadata_file": c.MetadataFile}
}

// Source implements sensors.Settings.
func (c *OusterConfig) Source(name string) sensors.Source {
	return newUDPSource(name, "ouster", &c.UDPConfig, c.assembler)
}

// assembler needs the metadata, without which no packet can be read.
func (c *OusterConfig) assembler(ctx context.Context, out *output) (assembler, error) {
	w := newMetadataWatch(c)
	meta, err := w.first(ctx)
	if err != nil {
		return nil, err
	}
	in := &ousterInput{out: out, watch: w}
	in.use(meta, w.text)
	w.start(ctx)
	return in, nil
}

// ousterInput reads packets by metadata that may change while it runs.
type ousterInput struct {
	out    *output
	watch  *metadataWatch
	meta   *Metadata
	asm    *Assembler
	table  *XYZTable
	points int // of the newest cloud
	frames int
}

// use takes metadata, which is also given as text, for the packets from now on.
func (in *ousterInput) use(m *Metadata, text string) {
	sensors.Heard(in.out.sink, &sensors.Raw{Transport: sensors.File, AtNS: in.out.sink.NowNS(), Name: "metadata_file", Data: []byte(text)})
	restarted := in.meta != nil && in.meta.InitID != m.InitID
	if in.asm != nil {
		in.asm.Flush()
	}
	in.meta, in.table = m, NewXYZTable(m)
	in.asm = NewAssembler(m, in.emit, in.count)
	in.asm.restarted = restarted
}

// Add implements assembler.
func (in *ousterInput) Add(receiveNS int64, b []byte) {
	switch n := in.watch.news(); {
	case n == nil:
	case n.meta != nil:
		in.use(n.meta, n.text)
	default:
		sensors.Tell(in.out.sink, sensors.Finding{Code: "metadata", Text: "the sensor's metadata cannot be taken: " + n.failed})
	}
	in.asm.Add(receiveNS, b)
}

// Deadline implements assembler.
func (in *ousterInput) Deadline() int64 { return in.asm.Deadline() }

// Expire implements assembler.
func (in *ousterInput) Expire(nowNS int64) { in.asm.Expire(nowNS) }

// Close ends what watches the metadata.
func (in *ousterInput) Close() error {
	in.watch.stop()
	return nil
}

// count tells what refusals mean where the metadata is to blame.
func (in *ousterInput) count(outcome string, n uint64) {
	in.out.count(outcome, n)
	switch Reason(outcome) {
	case BadInitID:
		in.watch.refetch()
		in.tell("reconfigured", fmt.Sprintf("the sensor was reconfigured, initialization id %d of the metadata is not its own any more: %s", in.meta.InitID, in.watch.remedy()))
	case BadSerial:
		in.watch.refetch()
		in.tell("other_serial", fmt.Sprintf("datagrams of another sensor than the one with serial number %d come: give each sensor a port of its own, or %s", in.asm.serial, in.watch.remedy()))
	case BadLength:
		in.watch.refetch()
	default:
	}
}

func (in *ousterInput) tell(code, text string) {
	sensors.Tell(in.out.sink, sensors.Finding{Code: code, Text: text})
}

// What share of a sweep's returns may lie beyond what the sensors reach; read in
// a wrong profile about half of them do.
const (
	beyondReachMM = 300_000
	mostBeyond    = 0.1
	lookAtFrames  = 16 // every how many
)

// emit hands a frame on as a cloud.
func (in *ousterInput) emit(f *Frame) {
	if in.frames%lookAtFrames == 0 {
		in.examine(f)
	}
	in.frames++
	xyz := in.table.Cloud(make([]float32, 0, in.points+in.points/8), f, &in.out.crop)
	in.points = len(xyz)
	in.out.emit(&sensors.Sample{
		Seq: f.Seq, DeviceNS: int64(f.MiddleNS), HasDevice: true, ReceiveNS: f.ReceiveNS,
		Restarted: f.Restarted,
		Cloud:     &sensors.PointCloud{XYZ: xyz, Complete: float64(f.Valid) / float64(f.Expected)},
	})
}

// examine says where ranges are none: packets of a profile that another one has
// the size of.
func (in *ousterInput) examine(f *Frame) {
	returns, beyond := 0, 0
	for _, r := range f.RangeMM {
		if r > 0 {
			returns++
		}
		if r > beyondReachMM {
			beyond++
		}
	}
	if returns > 0 && float64(beyond) > mostBeyond*float64(returns) {
		in.tell("wrong_profile", fmt.Sprintf("%d %% of the points lie further than %d m: the metadata's profile %s with %d rows is not the sensor's; %s",
			100*beyond/returns, beyondReachMM/1000, in.meta.Format.Profile, in.meta.Format.Rows, in.watch.remedy()))
	}
}
