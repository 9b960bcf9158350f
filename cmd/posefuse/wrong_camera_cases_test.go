package main

// wrongCameras are cameras that cannot be, and what goes with them.
var wrongCameras = []wrongInput{
	{name: "no detector", doc: "detector: {model: \"\"}\n"},
	{name: "camera: address", doc: "sensors: {camera: {keypoints_tcp: {listen: localhost}}}\n"},
	{name: "camera: no address", doc: "sensors: {camera: {keypoints_tcp: {listen: \"\"}}}\n"},

	{name: "enum: others", args: "run --camera /dev/video0 --others on"},
	{name: "run: no such camera", args: "run --camera film.mp4"},
	{name: "run: a number for a camera", args: "run --camera 0"},
	{name: "run: password that breaks the URL", args: "run --camera rtsp://admin:hunter2/7@10.0.0.2/stream"},
	{name: "run: others without a camera", args: "run --others simulated"},
	{name: "run: others with a configuration", args: "run --config room.yaml --camera made --others off", doc: "room: a\n"},
	{name: "keypoints: of nothing", args: "keypoints"},
	{name: "keypoints: no such film", args: "keypoints film.mp4"},
	{name: "keypoints: no picture", args: "keypoints made/file.png"},
	{name: "keypoints: folder without pictures", args: "keypoints made/nothing"},
	{name: "keypoints: no device", args: "keypoints /dev/video77"},
	{name: "keypoints: no detector", args: "keypoints made/file.png --detector none.safetensors"},
	{name: "keypoints: detector that is none", args: "keypoints made/file.png --detector made/file"},
	{name: "keypoints: draw into a file", args: "keypoints made/file.png --draw made/file"},
}
