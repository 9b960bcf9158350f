// Package balance holds the methods that keep one modality from stifling the
// others while a multi-modal network learns: the Shapley contribution of each
// modality and the adaptive weight constraint of "Towards Balanced Multi-Modal
// Learning in 3D Human Pose Estimation", and the methods it is compared with.
//
// The package knows no network. It works on slices of features' predictions,
// parameters and gradients, and none of its methods adds a parameter that is
// learned. Sets of modalities are bit masks, bit m for modality m.
package balance
