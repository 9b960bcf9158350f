package sim

import "strconv"

// OusterMetadata is the metadata of the simulated LiDAR in Ouster's flat
// layout (sensors.md 1.6). The beam azimuth of half a column says that a column
// is measured in its middle; all zero would mean a sensor that is not ready.
// Half a turn in LidarToSensor puts the sweep's seam
// behind the sensor, as in the real device, so that no person is cut in time.
type OusterMetadata struct {
	ProdLine          string           `json:"prod_line"`
	ProdSN            string           `json:"prod_sn"`
	ImageRev          string           `json:"image_rev"`
	LidarMode         string           `json:"lidar_mode"`
	BeamAltitudeDeg   []float64        `json:"beam_altitude_angles"`
	BeamAzimuthDeg    []float64        `json:"beam_azimuth_angles"`
	OriginToBeamMM    float64          `json:"lidar_origin_to_beam_origin_mm"`
	BeamToLidar       []float64        `json:"beam_to_lidar_transform"`
	LidarToSensor     []float64        `json:"lidar_to_sensor_transform"`
	ImuToSensor       []float64        `json:"imu_to_sensor_transform"`
	DataFormat        OusterDataFormat `json:"data_format"`
	InitializationID  int              `json:"initialization_id"`
	UDPPortLidar      int              `json:"udp_port_lidar"`
	UDPPortIMU        int              `json:"udp_port_imu"`
	SimulatedSentence string           `json:"comment"`
}

// OusterDataFormat is the packet geometry inside OusterMetadata.
type OusterDataFormat struct {
	ColumnsPerFrame  int    `json:"columns_per_frame"`
	ColumnsPerPacket int    `json:"columns_per_packet"`
	PixelsPerColumn  int    `json:"pixels_per_column"`
	PixelShiftByRow  []int  `json:"pixel_shift_by_row"`
	ColumnWindow     [2]int `json:"column_window"`
	UDPProfileLidar  string `json:"udp_profile_lidar"`
	UDPProfileIMU    string `json:"udp_profile_imu"`
}

// NewOusterMetadata returns the metadata that decodes Scan to exactly the
// points of the stored clouds.
func NewOusterMetadata() OusterMetadata { return NewOusterMetadataOf(ScanRows) }

// NewOusterMetadataOf is NewOusterMetadata for a LiDAR of 32 or 128 beams.
func NewOusterMetadataOf(beams int) OusterMetadata {
	g := gridOf(beams)
	m := OusterMetadata{
		ProdLine: "OS-1-" + strconv.Itoa(g.rows), ProdSN: "000000000000", ImageRev: "simulated", LidarMode: "1024x10",
		BeamAltitudeDeg: make([]float64, g.rows),
		BeamAzimuthDeg:  make([]float64, g.rows),
		BeamToLidar:     []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		LidarToSensor:   []float64{-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		ImuToSensor:     []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
		DataFormat: OusterDataFormat{
			ColumnsPerFrame: ScanColumns, ColumnsPerPacket: 16, PixelsPerColumn: g.rows,
			PixelShiftByRow: make([]int, g.rows), ColumnWindow: [2]int{0, ScanColumns - 1},
			UDPProfileLidar: "LEGACY", UDPProfileIMU: "LEGACY",
		},
		InitializationID: 1, UDPPortLidar: 7502, UDPPortIMU: 7503,
		SimulatedSentence: "simulated sensors",
	}
	for r := range m.BeamAltitudeDeg {
		m.BeamAltitudeDeg[r] = g.altitudeDeg(r)
		m.BeamAzimuthDeg[r] = lidarAzimuthDeg
	}
	return m
}
