package session

import "posefuse/skeleton"

// AppendScene appends a pose as the message of TopicSkeleton, foxglove.SceneUpdate:
// joints in metres, in the frame of that name, at a Unix time, ns.
func AppendScene(b []byte, joints *skeleton.Pose, frame string, unixNS int64) []byte {
	e := encoder{b: b}
	e.scene(joints, frame, unixNS)
	return e.b
}

// AppendCloud appends points as foxglove.PointCloud, in the frame of that name, at a
// Unix time, ns; fields name the values of a point, which lie one after the other.
func AppendCloud(b []byte, frame string, unixNS int64, values []float32, fields ...string) []byte {
	e := encoder{b: b}
	e.cloudHead(frame, unixNS, fields...)
	e.raw = appendFloats(nil, values...)
	e.base64(`,"data":`)
	e.text("}")
	return e.b
}
