package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"

	"posefuse/recording/mmfi"
)

type dataCmd struct {
	Check dataCheckCmd `cmd:"" help:"Say everything that is wrong with a data set in MM-Fi's layout."`
}

// Help shows the command's example.
func (dataCmd) Help() string {
	return "Example:\n\n  posefuse data check /data/mmfi"
}

type dataCheckCmd struct {
	Dir  string `arg:"" help:"Folder that holds E01..E04."`
	JSON bool   `name:"json" help:"Print the report as JSON."`
}

// Help shows the command's example.
func (dataCheckCmd) Help() string {
	return "Reads every file and ends with 1 if anything is wrong. Example:\n\n  posefuse data check /data/mmfi"
}

// Run checks the data set and prints what is wrong with it.
func (c dataCheckCmd) Run(ctx context.Context) error {
	dir, err := mmfi.Open(c.Dir)
	if err != nil {
		return err
	}
	bar := newProgress("checking clips")
	rep, err := dir.Check(ctx, func(done, total int) { bar.show(float64(done)/float64(total), "") })
	bar.done()
	if err != nil {
		return err
	}
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(rep); err != nil {
			return err
		}
	} else {
		printCheck(rep)
	}
	if len(rep.Problems) > 0 {
		return &exitError{code: 1, err: fmt.Errorf("%s: %d problems; train and eval use the rest with --skip-broken", c.Dir, len(rep.Problems))}
	}
	return nil
}

func printCheck(rep *mmfi.CheckReport) {
	for _, p := range rep.Problems {
		fmt.Println(visible(p.String()))
	}
	fmt.Printf("%s: sensors %s, %d of MM-Fi's %d clips, %d of them without a problem; %d poses, %d files, %.1f MB\n",
		visible(rep.Root), rep.Modalities, rep.Clips, rep.ClipsOfMMFi, rep.SoundClips, rep.Poses, rep.Files, float64(rep.Bytes)/1e6)
	for _, kind := range slices.Sorted(maps.Keys(rep.Counts)) {
		fmt.Printf("%-16s %8d\n", kind, rep.Counts[kind])
	}
}
