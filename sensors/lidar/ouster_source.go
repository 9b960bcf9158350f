package lidar

import (
	"fmt"
	"os"

	"posefuse/sensors"
	"posefuse/setting"
)

// OusterConfig describes an Ouster OS sensor.
type OusterConfig struct {
	UDPConfig    `yaml:",inline"`
	MetadataFile string `yaml:"metadata_file"` // the sensor's metadata JSON
}

// NewOusterConfig returns the defaults.
func NewOusterConfig() *OusterConfig {
	return &OusterConfig{UDPConfig: newUDPConfig("127.0.0.1:7502"), MetadataFile: "./posefuse-state/ouster.json"}
}

// Check implements sensors.Settings.
func (c *OusterConfig) Check() setting.Problems {
	p := c.UDPConfig.check()
	if c.MetadataFile == "" {
		p.Add("metadata_file", "empty; name the sensor's metadata JSON (http://SENSOR/api/v1/sensor/metadata)")
	}
	return p
}

// Files implements sensors.FileSettings.
func (c *OusterConfig) Files() map[string]string {
	return map[string]string{"metadata_file": c.MetadataFile}
}

// Source implements sensors.Settings.
func (c *OusterConfig) Source(name string) sensors.Source {
	return newUDPSource(name, &c.UDPConfig, c.assembler)
}

// assembler reads the metadata, without which no packet can be read.
func (c *OusterConfig) assembler(out *output) (assembler, error) {
	text, err := os.ReadFile(c.MetadataFile)
	if err != nil {
		return nil, &setting.Problem{Key: "metadata_file", Err: err, Text: func(key string) string {
			return fmt.Sprintf("metadata: %v: save the sensor's GET /api/v1/sensor/metadata there, or correct %s", err, key)
		}}
	}
	meta, err := ParseMetadata(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.MetadataFile, err)
	}
	table := NewXYZTable(meta)
	points := 0
	return ousterInput{NewAssembler(meta, func(f *Frame) {
		xyz := table.Cloud(make([]float32, 0, points+points/8), f, &out.crop)
		points = len(xyz)
		out.emit(&sensors.Sample{
			Seq: f.Seq, DeviceNS: int64(f.MiddleNS), HasDevice: true, ReceiveNS: f.ReceiveNS,
			Restarted: f.Restarted,
			Cloud:     &sensors.PointCloud{XYZ: xyz, Complete: float64(f.Valid) / float64(f.Expected)},
		})
	}, out.count)}, nil
}

type ousterInput struct{ *Assembler }

func (o ousterInput) quiet(nowNS int64) { o.Expire(nowNS) }
