package lidar

import (
	"testing"
	"time"
)

// livoxStream returns the datagrams of n sweeps of 100 ms, 2 ms apart, with the
// time at which each arrives.
func livoxStream(t *testing.T, n int, framed bool, arrive func(k int) time.Duration) (packets [][]byte, at []int64) {
	t.Helper()
	for k := range n * 50 {
		p := LivoxPacket{Type: LivoxCartesianMM, UDPCounter: uint16(65500 + k), TimestampNS: uint64(1e9 + k*2e6), Points: []LivoxPoint{{X: int32(k + 1)}}}
		if framed {
			p.UDPCounter, p.Frame = uint16(k%50), uint8(k/50)
		}
		b, err := EncodeLivox(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, b)
		at = append(at, int64(arrive(k)))
	}
	return packets, at
}

// feed gives datagrams to an assembler at their times, with a timer that runs as
// the source's does, and returns the sweeps and when each ended.
func feed(packets [][]byte, at []int64, o outcomes) (got []*Sweep, ended []int64) {
	now := int64(0)
	a := NewSweepAssembler(100*time.Millisecond, &Box{}, func(s *Sweep) { got, ended = append(got, s), append(ended, now) }, o.count)
	for i, b := range packets {
		for d := a.Deadline(); d != 0 && d < at[i]; d = a.Deadline() {
			now = d
			a.Expire(now)
		}
		now = at[i]
		a.Add(now, b)
	}
	now += int64(time.Second)
	a.Expire(now)
	return got, ended
}

func TestLivoxPauses(t *testing.T) {
	const n = 50
	pause := func(where int) func(k int) time.Duration {
		return func(k int) time.Duration {
			at := time.Duration(k) * 2 * time.Millisecond
			// What was measured during the pause comes at its end, all at once.
			begin := time.Duration(k/50)*100*time.Millisecond + time.Duration((where+k/50*7)%50)*2*time.Millisecond
			if at >= begin && at < begin+25*time.Millisecond {
				at = begin + 25*time.Millisecond
			}
			return at
		}
	}
	for _, framed := range []bool{false, true} {
		for where := 0; where < 50; where += 3 {
			o := outcomes{}
			packets, at := livoxStream(t, n, framed, pause(where))
			for i := 1; i < len(at); i++ {
				at[i] = max(at[i], at[i-1])
			}
			got, ended := feed(packets, at, o)
			bad := 0
			for _, s := range got {
				if s.Complete < 1 || len(s.XYZ) != 150 {
					bad++
				}
			}
			if len(got) != n || bad > n/50 || o["late"] > 50 {
				t.Errorf("pauses from %d, framed %v: %d sweeps, %d of them not whole, %v", where, framed, len(got), bad, o)
			}
			for k := range min(len(ended), n-1) {
				if limit := int64(k+1)*100e6 + 27e6; ended[k] > limit {
					t.Errorf("pauses from %d, framed %v: sweep %d ended %d ms late", where, framed, k, (ended[k]-limit)/1e6)
				}
			}
		}
	}
}

// One datagram in a hundred is lost: all sweeps come, in time, and every loss is
// counted once.
func TestLivoxLoss(t *testing.T) {
	for _, framed := range []bool{false, true} {
		packets, at := livoxStream(t, 100, framed, func(k int) time.Duration { return time.Duration(k) * 2 * time.Millisecond })
		var kept [][]byte
		var when []int64
		lost := 0
		for k := range packets {
			if k%100 == 37 || k > 100 && k%1700 == 51 {
				lost++
				continue
			}
			kept, when = append(kept, packets[k]), append(when, at[k])
		}
		o := outcomes{}
		got, _ := feed(kept, when, o)
		if len(got) != 100 || o["lost_packet"] != uint64(lost) || o["late"] != 0 || o["packet"] != uint64(len(kept)) {
			t.Errorf("framed %v: %d sweeps, %v; %d were lost", framed, len(got), o, lost)
		}
	}
}
