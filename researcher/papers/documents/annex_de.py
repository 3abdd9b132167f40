"""The annex to a data-protection impact assessment, in German: the same facts, line by line, as the English one."""

from __future__ import annotations

from researcher.papers import rests_on
from researcher.papers.lines import HOSPITALS, Line, Section

TITLE = "Anhang zur Datenschutz-Folgenabschätzung der Studie '{}'"
RESTS_ON = "Worauf diese Sätze beruhen"
SECTIONS = (
    Section(
        "Was dieser Anhang ist",
        (
            Line(
                "Er gibt wieder, was signierte Belege und Tests über die Studie '{study}' zeigen. Er ist keine "
                "Bewertung: Ob die Verarbeitung rechtmäßig ist, muss der Verantwortliche sagen."
            ),
            Line(
                "Er ist für Artikel 35 Absatz 7 DSGVO gemacht und für Artikel 56 des chinesischen Gesetzes zum Schutz "
                "persönlicher Informationen. Der Plan hat den SHA-256 {plan_digest}, das Modell {model_sha256}."
            ),
        ),
    ),
    Section(
        "Die Verarbeitung und ihre Zwecke",
        (
            Line("Zweck, in den Worten, die die Krankenhäuser genehmigt haben: {purpose}"),
            Line("Zweck: im Plan nicht angegeben.", unless="purpose", rests_on=(rests_on.NOT_SAID,)),
            Line("Protokoll oder Ethikvotum: {protocol}"),
            Line("Protokoll oder Ethikvotum: nicht angegeben.", unless="protocol", rests_on=(rests_on.NOT_SAID,)),
            Line("Vorgesehener Gebrauch des Modells, in den Worten der Forschenden: {intended_use}"),
            Line(
                "Vorgesehener Gebrauch des Modells: nicht angegeben.",
                unless="intended_use",
                rests_on=(rests_on.NOT_SAID,),
            ),
            Line(
                "{hospital_count} Krankenhaus/Krankenhäuser haben ein {model_name} auf ihren Bildern von "
                "{picture_shape} Werten trainiert, mit {class_count} Klassen: {class_names}."
            ),
            Line(
                "{hospital}: genehmigt am {approved_on}; {rounds_charged} Runde(n) wurden gerechnet und verbucht.",
                HOSPITALS,
            ),
        ),
    ),
    Section(
        "Notwendigkeit und Verhältnismäßigkeit",
        (
            Line(
                "Die Bilder bleiben im Krankenhaus. Was es in einer Runde verlässt, sind Zahlenfelder in der Form des "
                "Modells, die vorher geprüft werden.",
                rests_on=(rests_on.OUTPUT,),
            ),
            Line(
                "Die Forschenden arbeiten mit Beispielbildern, die allein aus dem öffentlichen Schema gezeichnet sind.",
                rests_on=(rests_on.MOCK,),
            ),
            Line("Die Genehmigung deckt höchstens {rounds} Runde(n) zu je {steps_per_round} Schritt(en)."),
        ),
    ),
    Section(
        "Risiken für Patientinnen und Patienten",
        (
            Line(
                "{hospital}: Epsilon {epsilon} bei Delta {delta} je Person. Das begrenzt, was alles, was diese Runden "
                "freigegeben haben, über eine von ihnen verraten kann.",
                HOSPITALS,
                given="unit_patient",
            ),
            Line(
                "{hospital}: Epsilon {epsilon} bei Delta {delta} je Bild. Das begrenzt, was alles, was diese Runden "
                "freigegeben haben, über eines von ihnen verraten kann.",
                HOSPITALS,
                given="unit_picture",
            ),
            Line(
                "{hospital}: Darin enthalten ist eine verrauschte Gram-Matrix seiner Merkmale, einmal freigegeben, "
                "nach der sich die Schritte der Runden richten; allein kostete sie Epsilon {gram_epsilon} bei Delta "
                "{gram_delta}.",
                HOSPITALS,
            ),
            Line("{hospital}: Die Datei des Modells nennt eben diese Matrix, SHA-256 {gram_digest}.", HOSPITALS),
            Line(
                "{hospital}: Die Datei des Modells nennt keine Gram-Matrix; dass sich die Schritte nach dieser "
                "richteten, ist damit nicht gezeigt.",
                HOSPITALS,
                given="gram_epsilon",
                unless="gram_digest",
            ),
            Line(
                "{alone_count} weitere(s) Krankenhaus/Krankenhäuser gab(en) eine solche Matrix frei und trainierte(n) "
                "in keiner Runde, mit Epsilon von höchstens {alone_epsilon} bei Delta {alone_delta}."
            ),
            Line(
                "{hospital}: Von 100 Personen, die dabei waren, erkennt höchstens {found_patient}, wer alles "
                "sieht, was diese Runden freigegeben haben, die Daten aller anderen kennt und 1 von 100 der übrigen "
                "fälschlich für beteiligt hält. Raten "
                "findet 1.",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line(
                "{hospital}: Von 100 verwendeten Bildern erkennt höchstens {found_picture}, wer alles sieht, was "
                "diese Runden freigegeben haben, "
                "jedes andere Bild kennt und 1 von 100 der übrigen fälschlich für verwendet hält. Raten findet 1. Wer "
                "mehrere Bilder hat, ist weniger geschützt.",
                HOSPITALS,
                rests_on=(rests_on.MEMBERSHIP,),
            ),
            Line(
                "{hospital}: Das Rauschen begrenzt kaum etwas; jede einzelne Person kann erkannt werden.",
                HOSPITALS,
                given="no_bound_patient",
            ),
            Line(
                "{hospital}: Das Rauschen begrenzt kaum etwas; jedes einzelne Bild kann erkannt werden.",
                HOSPITALS,
                given="no_bound_picture",
            ),
            Line(
                "{hospital} hat ohne Differential Privacy trainiert ({without_privacy}): Nichts begrenzt, was über "
                "eine Person verraten wird.",
                HOSPITALS,
            ),
            Line(
                "{hospital}: Alle Studien des Datensatzes zusammen halten Epsilon {epsilon_held} von höchstens "
                "{epsilon_limit}, bei Delta {delta_of_dataset}.",
                HOSPITALS,
            ),
            Line(
                "{hospital}: Auf dem Datensatz liefen auch Runden ohne Differential Privacy ({held_open}); kein "
                "Epsilon begrenzt sie.",
                HOSPITALS,
            ),
            Line(
                "{hospital}: Was andere Studien des Datensatzes daneben kosten, ist hier nicht bekannt.",
                HOSPITALS,
                unless="epsilon_held",
                rests_on=(rests_on.NO_EXTRACT,),
            ),
            Line(
                "Wer in mehreren dieser Krankenhäuser Patient ist, trägt die Summe; das größte einzelne Epsilon ist "
                "{epsilon_most}.",
                given="unit_patient",
            ),
            Line(
                "Ein Bild, das mehrere dieser Krankenhäuser haben, trägt die Summe; das größte einzelne Epsilon ist "
                "{epsilon_most}.",
                given="unit_picture",
            ),
        ),
    ),
    Section(
        "Maßnahmen",
        (
            Line(
                "Rauschen vom {noise_multiplier}-fachen der Schranke {max_grad_norm} wird im Krankenhaus in jedem "
                "Schritt hinzugefügt; Einheiten werden mit Wahrscheinlichkeit {sample_rate} gezogen.",
                unless="allocated_over",
                rests_on=(rests_on.SHAPE, rests_on.SAMPLING),
            ),
            Line(
                "Rauschen vom {noise_multiplier}-fachen der Schranke {max_grad_norm} wird im Krankenhaus in jedem "
                "Schritt hinzugefügt; jede Einheit nimmt an genau einem der {allocated_over} Schritte jeder Epoche "
                "teil, der zufällig gezogen wird.",
                rests_on=(rests_on.SHAPE, rests_on.ALLOCATION),
            ),
            Line(
                "Das Budgetbuch des Krankenhauses verbucht eine Runde, bevor sie ein Bild liest, und nie mehr Runden, "
                "als genehmigt sind.",
                rests_on=(rests_on.CHARGED, rests_on.ENVELOPE),
            ),
            Line(
                "Läufe sind eingeschlossen: Was darin gedruckt, gemeldet oder gesagt wird, erreicht niemanden.",
                rests_on=(rests_on.CLOSED,),
            ),
            Line("Jeder Beleg ist von seinem Krankenhaus signiert; der Schlüssel von {hospital} ist {key}.", HOSPITALS),
        ),
    ),
    Section(
        "Was der Verantwortliche ergänzen muss",
        (
            Line(
                "Rechtsgrundlage, Information der Betroffenen, Aufbewahrung im Krankenhaus, Übermittlung in andere "
                "Länder und der Standpunkt der Betroffenen sind hier nicht bekannt.",
                rests_on=(rests_on.NOT_SAID,),
            ),
        ),
    ),
)
