package radar

import (
	"bytes"
	"fmt"

	"posefuse/sensors"
)

// lookAfter is how many refusals in a row make the source look at the bytes.
const lookAfter = 3

// maxLookNS is how often what was seen is told: less than a finding lasts.
const maxLookNS = int64(1e9)

// onlooker says what the bytes of a data port look like that give no frame.
type onlooker struct {
	layout Layout // of the settings
	sink   sensors.Sink

	refusals int
	frames   uint64
	shadow   *Decoder // finds the layout while a fixed one is refused
	seen     Layout
	toldNS   int64
}

func (o *onlooker) accepted() {
	o.frames++
	o.refusals, o.shadow, o.seen = 0, nil, LayoutAuto
}

func (o *onlooker) refused() { o.refusals++ }

// see looks at bytes that the decoder has taken.
func (o *onlooker) see(nowNS int64, b []byte) {
	if o.frames == 0 && bytes.Contains(b, []byte(":/>")) {
		o.tell(nowNS, "wrong_port", "text of a command line comes: data_port and command_port are exchanged")
		return
	}
	if o.layout == LayoutAuto || o.refusals < lookAfter {
		return
	}
	if o.shadow == nil {
		o.shadow = NewDecoder(LayoutAuto, func(f *Frame) { o.seen = f.Layout }, func(Reason) {})
	}
	o.shadow.Feed(nowNS, b)
	if o.seen != LayoutAuto && o.seen != o.layout {
		o.tell(nowNS, "wrong_layout", fmt.Sprintf("the frames have the layout %s, the settings say %s: set layout: auto or %s", o.seen, o.layout, o.seen))
	}
}

func (o *onlooker) tell(nowNS int64, code, text string) {
	if o.toldNS != 0 && nowNS-o.toldNS < maxLookNS {
		return
	}
	o.toldNS = nowNS
	sensors.Tell(o.sink, sensors.Finding{Code: code, Text: text})
}
