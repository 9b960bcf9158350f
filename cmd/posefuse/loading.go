package main

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"posefuse/model"
	"posefuse/recording"
	"posefuse/train"
)

// loadWithProgress says what loading will take, loads and warns of what looks wrong.
func loadWithProgress(ctx context.Context, label string, ds recording.Dataset, keys []recording.Key, cfg model.Config, opt train.LoadOptions) (*train.Data, error) {
	tellNeeds(train.Selection{Data: ds, Keys: keys, Part: opt.Part}.Needs(cfg, opt.Stride))
	bar := newProgress(label)
	opt.Progress = func(done, total int) { bar.show(float64(done)/float64(total), "") }
	d, err := train.Load(ctx, ds, keys, cfg, opt)
	bar.done()
	if err != nil {
		return nil, err
	}
	for _, line := range d.Warnings() {
		warn(line)
	}
	return d, nil
}

// worthTelling is what samples take that need not be spoken of.
const worthTelling = 256 << 20

// tellNeeds says how much memory samples will take, before it is taken, if that is
// much.
func tellNeeds(frames int, size int64) {
	if size < worthTelling {
		return
	}
	free, known := freeMemory()
	fmt.Fprintf(os.Stderr, "loading about %d frames into %d MiB of memory", frames, size>>20)
	if known {
		fmt.Fprintf(os.Stderr, ", of which %d MiB are free", free>>20)
	}
	fmt.Fprintln(os.Stderr)
	if known && size > free {
		warn("that is more than this machine has free: take fewer modalities or, with --stride, fewer frames")
	}
}

// freeMemory returns the bytes that the system can give, where it says so.
func freeMemory() (int64, bool) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	_, after, _ := bytes.Cut(b, []byte("MemAvailable:"))
	var kib int64
	if _, err := fmt.Sscan(string(after), &kib); err != nil {
		return 0, false
	}
	return kib << 10, true
}

func warn(line string) { fmt.Fprintln(os.Stderr, "posefuse: warning:", visible(line)) }
