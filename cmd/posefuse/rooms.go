package main

import (
	"fmt"

	"posefuse/recording"
	"posefuse/recording/sim"
	"posefuse/study/world"
)

// roomFlags choose simulated rooms that all differ.
type roomFlags struct {
	Rooms     string `placeholder:"FILE" help:"Simulated rooms that all differ, drawn from the ranges of a file such as configs/rooms/train.yaml."`
	People    int    `default:"120" help:"People of --rooms to train on, each in 27 rooms."`
	ValPeople int    `default:"12" help:"Other people of --rooms to judge by, in rooms and with movements of other seeds."`
	Frames    int    `default:"120" help:"Frames of each clip of --rooms, a tenth of a second each."`
}

// heldOutSeed is added to the seed of the rooms that a network is judged by.
const heldOutSeed = 1_000_003

// openRooms returns the rooms to train on and those to judge by, which share
// neither people nor rooms nor, if movement is given, whoever was recorded.
func (f roomFlags) openRooms(seed uint64, trainMotion, valMotion *sim.MocapLibrary) (train, val recording.Dataset, err error) {
	ranges, err := world.ReadRanges(f.Rooms)
	if err != nil {
		return nil, nil, err
	}
	return f.drawRooms(ranges, seed, trainMotion, valMotion)
}

// drawRooms is openRooms with ranges that were read.
func (f roomFlags) drawRooms(ranges sim.Ranges, seed uint64, trainMotion, valMotion *sim.MocapLibrary) (train, val recording.Dataset, err error) {
	cfg := sim.RoomsConfig{Seed: seed, People: f.People, FramesPerClip: f.Frames, Ranges: ranges, Mocap: trainMotion}
	if train, err = sim.NewRooms(cfg); err != nil {
		return nil, nil, fmt.Errorf("--people: %w", err)
	}
	cfg.Seed, cfg.People, cfg.Mocap = seed+heldOutSeed, f.ValPeople, valMotion
	if val, err = sim.NewRooms(cfg); err != nil {
		return nil, nil, fmt.Errorf("--val-people: %w", err)
	}
	return train, val, nil
}

func (f roomFlags) roomSplit() string {
	return fmt.Sprintf("%d simulated people in rooms of their own, judged on %d others", f.People, f.ValPeople)
}
