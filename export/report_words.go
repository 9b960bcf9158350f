package export

// reportWords are the words of a report in one language.
type reportWords struct {
	Lang                                      string // of the page
	Date                                      string // layout of package time
	Title, Code, Session, Sessions, Room, By  string
	Exercise, Repetitions, Incomplete         string
	Range, Tempo, Advice, Left, Right, Of, To string
	NoSet, Trend, TrendOf, Axis, Legal        string
}

// wordsOf are those of each language of the page.
var wordsOf = map[string]*reportWords{
	"en": {
		Lang: "en", Date: "2 January 2006, 15:04", Title: "Exercise report", Code: "Patient code", Session: "Session", Sessions: "Sessions", Room: "Room", By: "Counted by",
		Exercise: "Exercise", Repetitions: "Repetitions", Incomplete: "Not complete", Range: "Range: median, best", Tempo: "Tempo", Advice: "Advice", Left: "left", Right: "right", Of: "of", To: "to",
		NoSet: "No set was counted.", Trend: "Trend", TrendOf: "median range of motion of each set", Axis: "the axis begins at 0",
		Legal: "Made by posefuse from an estimated skeleton. Not a medical device; nobody has validated it with patients. The figures describe movement and are no diagnosis.",
	},
	"de": {
		Lang: "de", Date: "2.1.2006, 15:04", Title: "Übungsbericht", Code: "Patientencode", Session: "Sitzung", Sessions: "Sitzungen", Room: "Raum", By: "Gezählt von",
		Exercise: "Übung", Repetitions: "Wiederholungen", Incomplete: "Unvollständig", Range: "Bewegung: Median, am weitesten", Tempo: "Tempo", Advice: "Hinweise", Left: "links", Right: "rechts", Of: "von", To: "bis",
		NoSet: "Kein Satz wurde gezählt.", Trend: "Verlauf", TrendOf: "Median der Bewegung je Satz", Axis: "die Achse beginnt bei 0",
		Legal: "Erstellt von posefuse aus einem geschätzten Skelett. Kein Medizinprodukt; niemand hat es mit Patienten validiert. Die Zahlen beschreiben Bewegung und sind keine Diagnose.",
	},
	"fr": {
		Lang: "fr", Date: "02/01/2006, 15:04", Title: "Rapport d'exercice", Code: "Code patient", Session: "Séance", Sessions: "Séances", Room: "Salle", By: "Compté par",
		Exercise: "Exercice", Repetitions: "Répétitions", Incomplete: "Incomplètes", Range: "Amplitude : médiane, meilleure", Tempo: "Rythme", Advice: "Conseils", Left: "gauche", Right: "droite", Of: "sur", To: "à",
		NoSet: "Aucune série n'a été comptée.", Trend: "Évolution", TrendOf: "amplitude médiane de chaque série", Axis: "l'axe commence à 0",
		Legal: "Établi par posefuse à partir d'un squelette estimé. Ce n'est pas un dispositif médical ; personne ne l'a validé avec des patients. Les chiffres décrivent le mouvement et ne sont pas un diagnostic.",
	},
	"zh": {
		Lang: "zh", Date: "2006年1月2日 15:04", Title: "训练报告", Code: "患者代码", Session: "训练", Sessions: "训练", Room: "房间", By: "计数程序",
		Exercise: "动作", Repetitions: "次数", Incomplete: "未完成", Range: "幅度：中位数、最佳", Tempo: "节奏", Advice: "建议", Left: "左", Right: "右", Of: "/", To: "至",
		NoSet: "没有计数任何一组。", Trend: "趋势", TrendOf: "每组幅度的中位数", Axis: "坐标轴从 0 开始",
		Legal: "由 posefuse 根据估计的骨架生成。不是医疗器械；未经患者验证。数字描述动作，不是诊断。",
	},
}
