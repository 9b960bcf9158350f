package session

import (
	"embed"
	"fmt"

	"posefuse/sensors/modality"
)

// Channels of a session's files whose messages are JSON.
const (
	TopicCamera   = "/camera/keypoints" // foxglove.ImageAnnotations
	TopicLiDAR    = "/lidar/points"     // foxglove.PointCloud, in the sensor's frame
	TopicRadar    = "/radar/points"     // foxglove.PointCloud, in the sensor's frame
	TopicCSI      = "/csi/packet"
	TopicPose     = "/pose"     // as published
	TopicSkeleton = "/skeleton" // foxglove.SceneUpdate, the pose for viewers
	TopicExercise = "/exercise" // events and summaries as published
	TopicFrames   = "/tf"       // foxglove.FrameTransforms: where the sensors stand
	TopicClock    = "/clock"    // the wall clock beside the room clock
)

// channel is one row of the table of channels.
type channel struct {
	topic  string
	schema string // name; its text is schema/<name>.json, but for raw bytes
}

// encodings returns those of the channel's schema and of its messages.
func (c *channel) encodings() (schema, message string) {
	if c.schema == rawSchema {
		return "protobuf", "protobuf"
	}
	return "jsonschema", "json"
}

// channels in the order of their numbers, from 1.
var channels = [...]channel{
	{TopicCamera, "foxglove.ImageAnnotations"},
	{TopicLiDAR, "foxglove.PointCloud"},
	{TopicRadar, "foxglove.PointCloud"},
	{TopicCSI, "posefuse.csi.v1"},
	{TopicPose, "posefuse.pose.v1"},
	{TopicSkeleton, "foxglove.SceneUpdate"},
	{TopicExercise, "posefuse.exercise.v1"},
	{TopicFrames, "foxglove.FrameTransforms"},
	{TopicClock, "posefuse.clock.v1"},
	{TopicRawCamera, rawSchema},
	{TopicRawLiDAR, rawSchema},
	{TopicRawRadar, rawSchema},
	{TopicRawCSI, rawSchema},
}

// Kinds of what is queued: indexes of channels.
const (
	kindCamera = iota // as modality.Kind
	kindLiDAR
	kindRadar
	kindCSI
	kindPose
	kindSkeleton
	kindExercise
	kindFrames
	kindClock
	kindRaw  // of the first modality, then of the others
	numKinds = kindRaw + int(modality.Count)
)

var _ = [1]struct{}{}[len(channels)-numKinds]

//go:embed schema/*.json
var schemas embed.FS

// SchemaText returns the schema of that name: a JSON Schema, of raw bytes a
// FileDescriptorSet of protobuf.
func SchemaText(name string) ([]byte, error) {
	if name == rawSchema {
		return rawDescriptor(), nil
	}
	b, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return b, nil
}
