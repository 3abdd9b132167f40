"""Settings of studies, simulations and counts as options need them: no help waits for the classes of a plan.

Made from the classes by `python tests/references.py`; nothing here is written by hand.
"""

from policies.settings import Declared, file, numbers

# fmt: off
STUDY = (
    Declared("study", "name of the study", "study"),
    Declared("model", "model", "small_cnn"),
    Declared("model_graph", "own model in place of a built-in one: the file that capture wrote", None, kind=file),
    Declared("loss_graph", "own loss in place of a built-in one: the file that capture wrote", None, kind=file),
    Declared("recipe", "auto: all settings of training from sizes, epsilon, delta, rounds and model; few_rounds: likewise, for a head on features in at most 20 rounds, by a Gram matrix that is asked for once", "none", choices=("none", "auto", "few_rounds")),
    Declared("num_rounds", "rounds", 5, kind=int),
    Declared("local_epochs", "passes over the pictures a round", 1.0, kind=float, derived=True),
    Declared("sample_rate", "share of the units a step draws", 0.1, kind=float, derived=True),
    Declared("epsilon", "cost of the whole study at each hospital", 3.0, kind=float),
    Declared("noise_multiplier", "the noise itself, instead of an epsilon", None, kind=float, derived=True),
    Declared("delta", "at which epsilon is stated", 1e-05, kind=float),
    Declared("repetitions", "studies of this length that the epsilon has to cover", 1, kind=int),
    Declared("max_grad_norm", "clipping bound", 1.0, kind=float, derived=True),
    Declared("learning_rate", "of the local optimiser", 0.5, kind=float, derived=True),
    Declared("learning_rate_schedule", "constant, or cosine from learning_rate towards 0 over the study's steps", "cosine", choices=("constant", "cosine"), derived=True),
    Declared("momentum", "of SGD, below 1; the buffer starts at zero in each round", 0.0, kind=float, derived=True),
    Declared("weight_decay", "L2 penalty added to the (noised) gradient", 0.0, kind=float),
    Declared("proximal_mu", "FedProx's term: pull towards the round's global weights (Li et al., MLSys 2020); 0 is FedAvg", 0.0, kind=float),
    Declared("augmentation", "random change of each drawn picture", "none", choices=("none", "flips", "flips_and_turns")),
    Declared("augmentation_multiplicity", "how many such changes of each drawn picture a step looks at; its gradient is their mean, before it is clipped, so they cost no privacy (De et al., 2022)", 1, kind=int, derived=True),
    Declared("pictures_per_patient", "how many pictures of each drawn patient a step looks at, drawn at random, each again only when there are no others; their mean gradient is clipped, so they cost no privacy; where the unit is patient", 1, kind=int),
    Declared("sampling", "who joins a step: poisson draws each unit for each step; random_allocation draws, for each unit, one step of each epoch of 1 / sample_rate steps, which takes less noise; rounds are then whole epochs", "poisson", choices=("poisson", "random_allocation")),
    Declared("server_momentum", "share of the last mean update that the researcher keeps, in [0, 1); post-processing, at no cost of privacy", 0.0, kind=float, derived=True),
    Declared("server_averaging", "share of the last average that is kept, in [0, 1), if the global model is an average of rounds; 0: it is not", 0.0, kind=float, derived=True),
    Declared("weights_encoding", "how global weights come in: zstd is lossless, fp16 and int8 round; training starts from what was decoded", "none", choices=("none", "zstd", "fp16", "int8")),
    Declared("update_encoding", "how the client update leaves, likewise; applied by the hospital after the output contract, so it is post-processing and costs no privacy", "none", choices=("none", "zstd", "fp16", "int8")),
    Declared("late_updates", "what becomes of a client update that comes after its round's deadline: weighted uses it once, in a later round, the less the staler it is; dropped cancels the run; post-processing, at no cost of privacy", "weighted", choices=("weighted", "dropped")),
    Declared("statement", "TOML file with a table [statement] of who asks and what for", None),
)
OBJECTIVE = (
    Declared("loss", "what training lowers: cross_entropy, which for findings is the binary one of each that is known; ordinal, for classes in the order of a grade, by which a mistake costs more the more grades it is off", "cross_entropy", choices=("cross_entropy", "ordinal")),
    Declared("label_smoothing", "of cross_entropy over classes: share of each label that is spread evenly over all classes, up to 0.5", 0.0, kind=float),
    Declared("class_weights", "a number for each class, 1,2.5,4 say: what a picture of it counts, before it is clipped; for labels that are classes", (), kind=numbers),
    Declared("present_weights", "a number for each finding: what a present one counts beside an absent one, before the picture's gradient is clipped; for labels that are findings", (), kind=numbers),
)
SERVER = (
    Declared("strategy", "how client updates become the next global model; post-processing, at no cost of privacy", "fed_avg", choices=("fed_avg", "fed_avg_m", "fed_prox", "fed_nova", "fed_adagrad", "fed_adam", "fed_yogi", "trimmed_mean", "coordinate_median", "krum", "dp_fc", "scaffold", "mr_mtl", "fed_per", "fed_bn")),
    Declared("server_learning_rate", "factor on what the strategy makes of the client updates; if not given 1, which takes it as it is, and 0.01 with fed_adagrad, fed_adam and fed_yogi, whose steps have size 1", None, kind=float),
    Declared("server_second_momentum", "of fed_adam and fed_yogi: share of the last mean square that is kept, in [0, 1)", 0.99, kind=float),
    Declared("server_adaptivity", "of fed_adagrad, fed_adam and fed_yogi: added to the root mean square that a step is divided by; the smaller, the more each weight has a step size of its own", 0.001, kind=float),
    Declared("trimmed_share", "of trimmed_mean: share of each weight's values that is left out at either end, below 0.5", 0.1, kind=float),
    Declared("faulty_hospitals", "of krum: how many hospitals' updates may be anything; a round needs twice as many updates and three", 1, kind=int),
    Declared("averaged_hospitals", "of krum: how many updates are averaged, those that lie closest to others", 1, kind=int),
    Declared("server_ridge", "of dp_fc: added to the eigenvalues of the features' Gram matrix before steps are multiplied by its inverse; the more, the shorter a step in directions that are mostly noise", 1.0, kind=float),
    Declared("mean_pull", "of mr_mtl: how strongly each hospital's model is pulled towards the mean of all, the paper's lambda; 0 trains each hospital alone", 0.1, kind=float),
)
RUN = (
    Declared("device", "auto takes a GPU where one is leased, cpu never does", "auto", choices=("auto", "cpu")),
    Declared("physical_batch_size", "most pictures in memory at once; a step is computed in parts of that size, or smaller where memory is short", 64, kind=int),
    Declared("timeout_seconds", "wall clock for one round, then it fails; once for its preparation, before it is charged, once from then on", 3600, kind=int),
    Declared("engine", "what computes a private step's clipped sums: opacus, its hooks, takes more time and memory; results are equal", "book_keeping", choices=("book_keeping", "opacus")),
    Declared("precision", "of a private step's model: bfloat16 is faster on GPUs; weights, norms, sums and noise are float32 or better", "float32", choices=("float32", "bfloat16")),
    Declared("batch_margin", "by how many standard deviations more pictures than expected a private step always computes, so that its time does not tell how many were drawn; a larger draw takes longer, which is then seen", 5.0, kind=float),
)
STATEMENT = (
    Declared("name", "who asks, as the hospital will read it", ""),
    Declared("institution", "where the person who asks works", ""),
    Declared("contact", "how the hospital reaches that person", ""),
    Declared("purpose", "what the study is for", ""),
    Declared("protocol", "study protocol or number of the ethics approval", ""),
    Declared("publication", "what is to be published, and where", ""),
)
RETRY_POLICY = (
    Declared("round_deadline", "seconds after which a round ends with the client updates that came, once they are min_clients; what comes later is a late update; without one a round waits for every hospital that is at work", None, kind=float),
    Declared("round_deadline_factor", "how many times as long as until the min_clients-th client update came a round waits for the others, so that it fits plans of any size: 1.5 gives them half as long again; what comes later is a late update; at least 1; beside a round_deadline, whichever ends the round first", None, kind=float),
    Declared("grace_seconds", "how long more decisions are waited for once min_clients hospitals approved; who approves later joins then", 60.0, kind=float),
    Declared("unreachable_seconds", "how long a round waits for a datasite that is out of reach, such as in a restart; each byte that comes through begins this time anew", 60.0, kind=float),
    Declared("stalled_seconds", "how long a hospital's round may show no progress, neither a byte nor a change of its run's state, and how long too few hospitals are waited for", 86400.0, kind=float),
    Declared("attempts", "how often a hospital is asked for a round whose run could not be started, which costs nothing", 2, kind=int),
)
SIMULATION = (
    Declared("hospitals", "how many to make up; with a column, as many as it has values", None, kind=int),
    Declared("split", "even: as many units each; dirichlet: each class by shares of its own; column: by a column's values", "even", choices=("even", "dirichlet", "column")),
    Declared("alpha", "of the Dirichlet draws; the smaller, the more hospitals differ", 0.5, kind=float),
    Declared("column", "whose values are hospitals: of the table or the .npz, or 'site'", ""),
    Declared("unit", "privacy unit", "picture", choices=("picture", "patient")),
    Declared("patient_column", "whose each picture is (default patient, where there is one)", ""),
    Declared("held_back", "share of the units to score on, where no test data are given", 0.2, kind=float),
    Declared("seed", "of split, first weights, draws and noise: all of a simulation follows from it", 0, kind=int),
    Declared("ray_address", "a running Ray cluster, or auto for this machine's; empty starts one of this machine's cores", ""),
    Declared("workers", "hospitals at work at a time; each core's one if not given", None, kind=int),
    Declared("worker_memory", "GB that a worker may take beside what it starts with", 4.0, kind=float),
)
COUNTS = (
    Declared("study", "name of the study that pays for it", "study"),
    Declared("dataset", "name of the dataset, where a hospital publishes several", None),
    Declared("noise_multiplier", "noise on the counts", 20.0, kind=float),
    Declared("delta", "at which epsilon is stated", 1e-05, kind=float),
    Declared("statement", "TOML file with a table [statement] of who asks and what for", None),
)
GRAM = (
    Declared("study", "name of the study that pays for it", "study"),
    Declared("dataset", "name of the dataset, where a hospital publishes several", None),
    Declared("model", "the head whose features are meant: scattering_linear or features", "scattering_linear"),
    Declared("epsilon", "of the matrix and one few_rounds study together, as that study's epsilon; the matrix costs a part of it", 3.0, kind=float),
    Declared("delta", "at which epsilon is stated", 1e-05, kind=float),
    Declared("statement", "TOML file with a table [statement] of who asks and what for", None),
)
