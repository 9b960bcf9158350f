package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"posefuse/message"
	"posefuse/recording"
	"posefuse/recording/label"
	"posefuse/recording/session"
	"posefuse/retrain"
	"posefuse/setting"
	"posefuse/train"
)

// noLabels stands for a session without labels among those that have them.
const noLabels = "-"

// ownLabels is the file of labels in a session's folder, noLabels without one.
func ownLabels(dir string) string {
	for _, name := range []string{"labels.csv", "labels.npy"} {
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err == nil {
			return file
		}
	}
	return noLabels
}

// sessions adds the recorded sessions to a retraining: with their labels, or to be
// labelled by the model itself.
func (c retrainCmd) sessions(j *retrain.Job) error {
	if len(c.Labels) > 0 && len(c.Labels) != len(c.Session) {
		return fmt.Errorf("%d --labels for %d --session: give one each, in the same order, - for a session without", len(c.Labels), len(c.Session))
	}
	var bare, labelled []string
	tracks := map[string]string{} // file by session folder
	for i, name := range c.Session {
		dir, err := session.Find(filepath.Join(c.State, session.Folder), name)
		if err != nil {
			return err
		}
		file := ownLabels(dir)
		if len(c.Labels) > 0 {
			file = c.Labels[i]
		}
		if file == noLabels {
			bare = append(bare, dir)
			continue
		}
		labelled, tracks[dir] = append(labelled, dir), file
	}
	if len(bare) > 0 {
		ds, err := session.NewDataset(bare)
		if err != nil {
			return err
		}
		j.Unlabelled = append(j.Unlabelled, train.Selection{Data: ds, Keys: ds.Keys()})
	}
	if len(labelled) == 0 {
		return nil
	}
	ds, err := session.NewDataset(labelled)
	if err != nil {
		return err
	}
	for _, dir := range labelled {
		told, err := labelSession(ds, dir, tracks[dir], c.LabelRate)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, told)
		j.Provenance = append(j.Provenance, told)
	}
	j.Labelled = append(j.Labelled, train.Selection{Data: ds, Keys: ds.Keys()})
	return nil
}

// labelSession gives a session the joints of a file, at the times at which its
// poses move as they do, and says how well they fit.
func labelSession(ds *session.Dataset, dir, file string, rateHz float64) (told string, err error) {
	track, err := label.Read(file, rateHz)
	if err != nil {
		return "", err
	}
	reference, info, err := publishedPoses(dir)
	if err != nil {
		return "", err
	}
	fit, err := label.Align(reference, track)
	if err != nil {
		return "", fmt.Errorf("labels %s beside session %s: %w (--label-rate)", file, info.ID, err)
	}
	at := track.Frame
	if at == label.Own {
		if err = track.Place(reference, fit); err != nil {
			return "", fmt.Errorf("labels %s beside session %s: %w", file, info.ID, err)
		}
		at = reference.Frame
	}
	if at == label.Room {
		if info.Rig == nil {
			return "", fmt.Errorf("labels %s are in the room's frame, and session %s does not know where the camera stands: give them in the camera's frame", file, info.ID)
		}
		cameraFromRoom := info.Rig.RoomFromCamera.Inverse()
		for i := range track.Poses {
			for k, p := range track.Poses[i] {
				track.Poses[i][k] = cameraFromRoom.Apply(p)
			}
		}
	}
	sum, err := fileSum(file)
	if err != nil {
		return "", fmt.Errorf("labels: %w", err)
	}
	told = fmt.Sprintf("session %s was labelled by %s (sha256 %.12x), %s", info.ID, filepath.Base(file), sum, fit)
	return told, ds.SetTruth(dir, func(captureNS int64) (recording.Pose, bool) { return track.At(float64(captureNS)/1e9 + fit.OffsetS) })
}

// fileSum is the sha256 of a file.
func fileSum(path string) ([]byte, error) {
	f, err := setting.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

// publishedPoses are those that the daemon published while a session was recorded.
func publishedPoses(dir string) (*label.Track, session.Info, error) {
	var times []float64
	var poses []recording.Pose
	var in string // the frame, the same for all
	info, _, err := session.Visit(dir, session.Part{Topics: []string{session.TopicPose}}, func(e *session.Event) error {
		var p message.Pose
		if err := message.UnmarshalPose(e.Text, &p); err != nil {
			return fmt.Errorf("pose at %d: %w", e.CaptureNS, err)
		}
		if p.JointsM != nil {
			in = p.Frame
			times, poses = append(times, float64(e.CaptureNS)/1e9), append(poses, *p.JointsM)
		}
		return nil
	})
	if err == nil && len(poses) == 0 {
		err = errors.New("nobody was seen, so labels cannot be aligned")
	}
	if err != nil {
		return nil, info, fmt.Errorf("session %s: %w", filepath.Base(dir), err)
	}
	reference := label.Reference(times, poses)
	reference.Frame = in
	return reference, info, nil
}
