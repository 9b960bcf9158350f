package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// radarPrompt is what TI's demo prints when it waits for a command.
const radarPrompt = "mmwDemo:/>"

// maxCommandLine bounds a command line, as the demo's own buffer does.
const maxCommandLine = 256

// radarCommands are the commands of the out-of-box demo besides start, stop
// and flush.
var radarCommands = map[string]bool{
	"dfeDataOutputMode": true, "channelCfg": true, "adcCfg": true, "adcbufCfg": true, "profileCfg": true,
	"chirpCfg": true, "frameCfg": true, "advFrameCfg": true, "subFrameCfg": true, "guiMonitor": true,
	"cfarCfg": true, "multiObjBeamForming": true, "calibDcRangeSig": true, "clutterRemoval": true,
	"compRangeBiasAndRxChanPhase": true, "measureRangeBiasAndRxChanPhase": true, "aoaFovCfg": true,
	"cfarFovCfg": true, "extendedMaxVelocity": true, "CQRxSatMonitor": true, "CQSigImgMonitor": true,
	"analogMonitor": true, "lvdsStreamCfg": true, "bpmCfg": true, "calibData": true, "lowPower": true,
	"configDataPort": true, "queryDemoStatus": true, "version": true, "help": true, "nearFieldCfg": true,
}

// radarCLI is the command port of TI's out-of-box demo: it echoes, answers
// "Done", "Ignored: ...", "Error -1" or "... is not recognized", and prompts.
type radarCLI struct {
	port   io.Reader
	answer func([]byte) error
	served sync.WaitGroup

	mu         sync.Mutex
	configured map[string]bool
	calibrated bool
	started    uint64 // counts sensorStart; 0 before the first
	streaming  bool
}

// newRadarCLI serves a port until it is closed.
func newRadarCLI(p *ptyPort) *radarCLI {
	c := &radarCLI{port: p, answer: p.write, configured: map[string]bool{}}
	c.served.Go(c.serve)
	return c
}

// wait returns once the port's server has ended.
func (c *radarCLI) wait() { c.served.Wait() }

// running returns the number of the start that is in effect, 0 if the sensor
// is stopped.
func (c *radarCLI) running() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.streaming {
		return 0
	}
	return c.started
}

func (c *radarCLI) serve() {
	buf := make([]byte, 256)
	var line []byte
	var last byte
	for {
		n, err := c.port.Read(buf)
		if err != nil {
			return // closed
		}
		for _, b := range buf[:n] {
			switch {
			case b == '\n' && last == '\r': // the second half of a line end
			case b == '\n' || b == '\r':
				// A driver that does not read loses the answer, not the device.
				if err := c.answer([]byte(c.reply(string(line)))); err != nil && !errors.Is(err, errOverrun) {
					return
				}
				line = line[:0]
			case len(line) < maxCommandLine:
				line = append(line, b)
			}
			last = b
		}
	}
}

// reply returns the echo of a line, the answer and the next prompt.
func (c *radarCLI) reply(line string) string {
	var out bytes.Buffer
	out.WriteString(line + "\n")
	if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(fields[0], "%") {
		out.WriteString(c.execute(fields))
	}
	out.WriteString("\r" + radarPrompt)
	return out.String()
}

func (c *radarCLI) execute(fields []string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	const done = "\rDone\n"
	switch name := fields[0]; name {
	case "sensorStop":
		if !c.streaming {
			return "Ignored: Sensor is already stopped\n" + done
		}
		c.streaming = false
		return done
	case "flushCfg":
		clear(c.configured)
		return done
	case "sensorStart":
		if c.streaming {
			return "Ignored: Sensor is already started\n" + done
		}
		for _, need := range []string{"profileCfg", "chirpCfg", "frameCfg"} {
			if !c.configured[need] {
				return fmt.Sprintf("Debug: %s is missing\n\rError -1\n", need)
			}
		}
		note := ""
		if !c.calibrated {
			c.calibrated = true
			note = "Debug: Init Calibration Status = 0x1ffe\n"
		}
		c.started++
		c.streaming = true
		return note + done
	default:
		if !radarCommands[name] {
			return fmt.Sprintf("'%s' is not recognized as a CLI command\n", name)
		}
		c.configured[name] = true
		return done
	}
}
